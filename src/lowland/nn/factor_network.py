"""A feed-forward network on the factors of a problem: the rival of descent on an energy over the same factors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.scopes import PLACES, Scope, scope_of
from lowland.errors import OptionError
from lowland.nn.layers import linear


def places(values: Tensor, index: Tensor) -> Tensor:
    """Entries of (B, N, ...) at places (*shape), (B, *shape, ...).

    >>> places(torch.tensor([[5.0, 7.0]]), torch.tensor([[1, 1, 0]]))
    tensor([[[7., 7., 5.]]])
    """
    return values.index_select(1, index.flatten()).unflatten(1, index.shape)


class FactorNetwork(nn.Module):
    """f(x): each entry of y has a state of `width` numbers, and each layer, with weights of its own, passes messages.

        t = [Σ_e (W x_e + w) ⊙ σ(A x_e + B h_e + a), x_f, h_f],  s = σ(U t + u)
        h_e ← h_e + C σ(D s + F x_e + G h_e),  h_f ← h_f + H s

    It sees what an element and a factor see in `FactorGraph`, and its messages have the form of the gradient of that
    energy, but no energy ties them together and the number of layers is fixed. Source: Gilmer et al., "Neural message
    passing for quantum chemistry" (2017), on a factor graph.

    Args:
        kind, size: of problem, see `lowland.data.scopes`.
        layers: of messages.
        width: numbers in the state of an entry of y.
        channels: of messages.
        generator: draws the weights.

    Raises:
        OptionError: for an unknown kind, a size below 2, or layers, width or channels below 1.

    >>> FactorNetwork("linear_system", 4)(torch.zeros(2, 20)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        kind: str,
        size: int,
        layers: int = 4,
        width: int = 4,
        channels: int = 4,
        generator: torch.Generator | None = None,
    ) -> None:
        scope = scope_of(kind, size)
        if min(layers, width, channels) < 1:
            raise OptionError(
                f"layers, width and channels must be at least 1, but they are {layers}, {width} and {channels}."
            )
        super().__init__()
        self.kind, self.width, self.channels, self.answers = kind, width, channels, scope.n_answers
        generator = generator or torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList(_Layer(scope, width, channels, generator) for _ in range(layers))
        self.readout = linear(width, 1, generator)

    def resized(self, size: int) -> FactorNetwork:
        """A copy with the same weights for problems of another size."""
        other = FactorNetwork(self.kind, size, len(self.layers), self.width, self.channels).to(self.readout.weight)
        other.load_state_dict(self.state_dict())
        return other

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_inputs) → (B, n_answers)."""
        state = x.new_zeros(len(x), self.answers, self.width)
        for layer in self.layers:
            state = layer(x, state)
        return self.readout(state)[..., 0]


class _Layer(nn.Module):
    """One round of messages: entries → factors → entries."""

    given: Tensor
    free: Tensor
    context: Tensor
    own: Tensor

    def __init__(self, scope: Scope, width: int, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        for name in PLACES:
            self.register_buffer(name, getattr(scope, name), persistent=False)
        seen, states, own = scope.given.shape[2], scope.free.shape[2] * width, scope.own.shape[1] * width
        self.weigh = linear(seen, channels, generator)
        self.see_given = linear(seen, channels, generator)
        self.see_free = linear(states, channels, generator, bias=False)
        self.factor = linear(channels + scope.context.shape[1] + own, channels, generator)
        self.back = linear(channels, channels, generator)
        self.back_given = linear(seen, channels, generator, bias=False)
        self.back_free = linear(states, channels, generator, bias=False)
        self.to_free = linear(channels, states, generator, bias=False)
        self.to_own = linear(channels, own, generator, bias=False) if own else None

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        seen = places(x, self.given)
        near = places(state, self.free).flatten(3)
        elements = self.weigh(seen) * functional.silu(self.see_given(seen) + self.see_free(near))
        own = places(state, self.own).flatten(2)
        t = torch.cat([elements.sum(dim=2), places(x, self.context), own], dim=2)
        factor = functional.silu(self.factor(t))
        back = functional.silu(self.back(factor)[:, :, None] + self.back_given(seen) + self.back_free(near))
        width = state.shape[2]
        state = state.index_add(1, self.free.flatten(), self.to_free(back).reshape(len(state), -1, width))
        if self.to_own is None:
            return state
        return state.index_add(1, self.own.flatten(), self.to_own(factor).reshape(len(state), -1, width))
