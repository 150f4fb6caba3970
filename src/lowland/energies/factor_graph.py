"""A factor graph with learned factors: an energy that checks an answer part by part (system E7)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.scopes import PLACES, scope_of
from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import OptionError
from lowland.nn.factor_network import places
from lowland.nn.layers import linear
from lowland.registry import register


@register("energy")
class FactorGraph(Energy):
    """E(x, y) = Σ_f tᵀ(Q t + q) + v·σ(U t + u), t = [Σ_e (W x_e + w) ⊙ σ(A x_e + B y_e + a), x_f, y_f].

    σ(s) = s / (1 + e^{−s}). The factors f and their elements e are fixed by the kind of problem
    (`lowland.data.scopes`); what is learned is shared by all of them. So the weights serve problems of any size, and E
    grows at most as ‖y‖². An answer is checked by its parts, which can be easier than to find it: descent over y does
    the rest, and a harder problem takes more steps. `Descent` trains it. Sources: Kschischang, Frey & Loeliger, "Factor
    graphs and the sum-product algorithm" (2001); Zaheer et al., "Deep sets" (2017), for the sum over elements; Du, Mao
    & Tenenbaum, "Learning iterative reasoning through energy diffusion" (2024), for reasoning as energy minimisation.

    Args:
        kind: of problem, "linear_system", "addition" or "sudoku".
        size: unknowns, sums, or the side of a Sudoku's blocks.
        channels: of the sum over elements, the length of W x_e.
        hidden: units of U t.
        scale: factor on the first Q, q and v; descent with a step of 1 must not diverge at first.
        generator: draws the weights.

    x and y are flat, see the kinds in `lowland.data.scopes`. E is not bounded from below for all weights.

    Raises:
        OptionError: for an unknown kind, a size below 2, channels or hidden below 1, or a scale that is not positive.

    >>> energy = FactorGraph("linear_system", 5)
    >>> energy(x=torch.zeros(2, 30), y=torch.zeros(2, 5)).shape
    torch.Size([2])
    >>> energy.resized(30).domain("y")
    Reals(30)
    """

    given: Tensor
    free: Tensor
    context: Tensor
    own: Tensor

    def __init__(
        self,
        kind: str,
        size: int,
        channels: int = 8,
        hidden: int = 16,
        scale: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        scope = scope_of(kind, size)
        if channels < 1 or hidden < 1 or not scale > 0:
            raise OptionError(
                f"channels and hidden must be at least 1 and scale positive, not {channels}, {hidden} and {scale}."
            )
        super().__init__(x=Reals(scope.n_inputs), y=Reals(scope.n_answers))
        self.kind = kind
        self.channels, self.hidden, self.scale = channels, hidden, scale
        for name in PLACES:
            self.register_buffer(name, getattr(scope, name), persistent=False)  # another size has other places
        generator = generator or torch.Generator().manual_seed(0)
        features = channels + scope.context.shape[1] + scope.own.shape[1]
        self.weigh = linear(scope.given.shape[2], channels, generator)
        self.see_given = linear(scope.given.shape[2], channels, generator)
        self.see_free = linear(scope.free.shape[2], channels, generator, bias=False)
        self.quadratic = linear(features, features, generator)
        self.units = linear(features, hidden, generator)
        self.readout = linear(hidden, 1, generator, bias=False)
        with torch.no_grad():
            for layer in (self.quadratic, self.readout):
                for parameter in layer.parameters():
                    parameter.mul_(scale)

    def resized(self, size: int) -> FactorGraph:
        """A copy with the same weights for problems of another size."""
        other = FactorGraph(self.kind, size, self.channels, self.hidden, self.scale)
        own = next(self.parameters())
        other.to(device=own.device, dtype=own.dtype).load_state_dict(self.state_dict())
        return other

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """What depends on x: W x_e + w and A x_e + a, (B, F, M, channels), and x_f, (B, F, C)."""
        seen = places(x, self.given)
        return {"weights": self.weigh(seen), "seen": self.see_given(seen), "context": places(x, self.context)}

    def energy(self, x: dict[str, Tensor], y: Tensor, z: Any) -> Tensor:
        elements = functional.silu(x["seen"] + self.see_free(places(y, self.free)))
        t = torch.cat([(x["weights"] * elements).sum(dim=2), x["context"], places(y, self.own)], dim=2)
        value = (self.quadratic(t) * t).sum(dim=2) + self.readout(functional.silu(self.units(t)))[..., 0]
        return value.sum(dim=1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With the right Q and no other weights E is ½‖y − b‖², whatever the matrix."""
        energy = cls("linear_system", 3, channels=1, hidden=2)
        for parameter in energy.parameters():
            parameter.data.zero_()
        energy.quadratic.weight.data[1:, 1:] = torch.tensor([[0.5, -0.5], [-0.5, 0.5]])
        x = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
        return ReferenceCase(energy, {"x": x}, "y", torch.zeros(2), x[:, :3])
