"""A forward model for states that are one vector, such as the observations of a Gymnasium environment.

Shape letters: B samples, T steps, D size of an observation, A of an action, Z of a latent, H hidden units, K masks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Box, Reals
from lowland.errors import OptionError, ShapeError
from lowland.nn.layers import linear
from lowland.registry import register
from lowland.worlds.base import State, World, WorldCase, each_row, standardise

_FAR = 10.0


@register("world")
class VectorWorld(World):
    """o[t+1] = o[t] + m + d ⊙ f(ō[t], a[t], z[t]), with a network f and the z-scored observation ō.

    m and d are mean and deviation of the changes in the training data, so that the outputs of f are of order 1. State,
    action and latent are added after one linear layer each (Henaff, Canziani & LeCun 2019, section 3.1). Dropout acts
    on the second of three hidden layers; `branches` computes the layers before it once for all masks. Inputs of f are
    clamped at 10 deviations, so that a roll-out outside the data grows at most linearly and stays finite. The state is
    {"observation": (B, D)}.

    Args:
        observations: D.
        actions: A.
        latents: Z; 0 for a deterministic model.
        hidden: H, units of each of the three hidden layers.
        dropout: probability with which a mask drops a unit of the second hidden layer.
        bounded: whether actions lie in [−1, 1], in shares of their bounds.
        generator: draws the weights.

    Raises:
        OptionError: for sizes below 1, or a dropout that is not in [0, 1).

    >>> world = VectorWorld(observations=3, actions=1, latents=2)
    >>> world.step({"observation": torch.zeros(5, 3)}, torch.zeros(5, 1))["observation"].shape
    torch.Size([5, 3])
    """

    mean: Tensor
    deviation: Tensor
    change_mean: Tensor
    change_deviation: Tensor

    def __init__(
        self,
        observations: int,
        actions: int,
        latents: int = 0,
        hidden: int = 128,
        dropout: float = 0.0,
        bounded: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        if min(observations, actions, hidden) < 1 or latents < 0:
            raise OptionError("observations, actions and hidden must be at least 1, and latents at least 0.")
        if not 0 <= dropout < 1:
            raise OptionError(f"dropout must be in [0, 1), but it is {dropout}.")
        domain = Box(actions, low=-1.0, high=1.0) if bounded else Reals(actions)
        super().__init__(domain, latents, masked=hidden if dropout else 0, dropout=dropout)
        generator = generator or torch.Generator().manual_seed(0)
        self.observations = observations
        self.from_state = linear(observations, hidden, generator)
        self.from_action = linear(actions, hidden, generator, bias=False)
        self.from_latent = linear(latents, hidden, generator, bias=False) if latents else None
        self.second, self.third = linear(hidden, hidden, generator), linear(hidden, hidden, generator)
        self.out = linear(hidden, observations, generator)
        nn.init.zeros_(self.out.bias)
        for name, value in (("mean", 0.0), ("deviation", 1.0), ("change_mean", 0.0), ("change_deviation", 1.0)):
            self.register_buffer(name, torch.full((observations,), value))

    def initialise(self, state: State, actions: Tensor, states: State) -> None:
        path = torch.cat([state["observation"][:, None], states["observation"]], dim=1)
        standardise(path, self.mean, self.deviation)
        standardise(path.diff(dim=1), self.change_mean, self.change_deviation, path)

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        code = self._code(state, action, z)
        return self._decode(state, code if mask is None else code * mask)

    def unroll(self, state: State, actions: Tensor, z: Tensor | None = None) -> State | None:
        """As T calls of `step`, up to rounding, without gradients and in z-scored observations.

        Samples are columns, so that thin matrices have long rows. Each layer is one matrix product: biases are weights
        of a row of ones, the z-scores are part of the last weights, and observation, action and latent are rows of one
        matrix. A step allocates no memory.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return None
        self._check(state)
        weights = [self.from_state.weight, self.from_action.weight, self.from_state.bias[:, None]]
        known = [actions.clamp(-_FAR, _FAR), torch.ones_like(actions[..., :1])]
        if self.from_latent is not None and z is not None:
            weights.append(self.from_latent.weight)
            known.append(z)
        scale, shift = self.change_deviation / self.deviation, self.change_mean / self.deviation
        w1, w2, w3 = torch.cat(weights, dim=1), _with_bias(self.second), _with_bias(self.third)
        w4 = scale[:, None] * _with_bias(self.out)
        w4[:, -1] += shift
        rows, steps, _ = actions.shape
        path = actions.new_empty(self.observations, steps + 1, rows)
        path[:, 0] = self._scaled(state).T
        inputs = torch.cat([path[:, 1:].transpose(0, 1), *(part.permute(1, 2, 0) for part in known)], dim=1)
        one, other = actions.new_ones(2, len(w1) + 1, rows)
        to_one, to_other = one[:-1], other[:-1]
        now, *later = path.unbind(1)
        for after, read, seen in zip(later, inputs.unbind(), inputs[:, : self.observations].unbind(), strict=True):
            torch.clamp(now, -_FAR, _FAR, out=seen)
            functional.silu(torch.mm(w1, read, out=to_one), inplace=True)
            functional.silu(torch.mm(w2, one, out=to_other), inplace=True)
            functional.silu(torch.mm(w3, other, out=to_one), inplace=True)
            now = torch.addmm(now, w4, one, out=after)
        return {"observation": path[:, 1:].permute(2, 1, 0) * self.deviation + self.mean}

    def branches(self, state: State, action: Tensor, z: Tensor | None, masks: Tensor) -> State:
        code = self._code(state, action, z)[:, None] * each_row(masks, len(action))
        before = {name: tensor.repeat_interleave(masks.shape[1], dim=0) for name, tensor in state.items()}
        return self._decode(before, code.flatten(0, 1))

    def features(self, state: State) -> Tensor:
        return self._scaled(state)

    def _scaled(self, state: State) -> Tensor:
        """ō, (B, D)."""
        return (state["observation"] - self.mean) / self.deviation

    def misfit(self, predicted: State, actual: State) -> Tensor:
        """(B,), squared error in units of the deviation of one step's change: predicting no change costs about D."""
        return ((predicted["observation"] - actual["observation"]) / self.change_deviation).square().sum(dim=1)

    def _code(self, state: State, action: Tensor, z: Tensor | None) -> Tensor:
        """Activations of the second hidden layer, on which dropout acts, (B, H)."""
        self._check(state)
        return functional.silu(self.second(functional.silu(self._added(state, action, z))))

    def _added(self, state: State, action: Tensor, z: Tensor | None) -> Tensor:
        """What the first hidden layer gets, (B, H)."""
        added = self.from_state(self._scaled(state).clamp(-_FAR, _FAR)) + self.from_action(action.clamp(-_FAR, _FAR))
        return added if self.from_latent is None or z is None else added + self.from_latent(z)

    def _check(self, state: State) -> None:
        if state["observation"].shape[1:] != (self.observations,):
            raise ShapeError(
                f"This world takes observations of {self.observations} numbers, but the state has the shape "
                f"{tuple(state['observation'].shape)}."
            )

    def _decode(self, before: State, code: Tensor) -> State:
        change = self.out(functional.silu(self.third(code)))
        return {**before, "observation": before["observation"] + self.change_mean + self.change_deviation * change}

    @classmethod
    def reference_case(cls) -> WorldCase:
        state = {"observation": torch.randn(4, 3, generator=torch.Generator().manual_seed(0))}
        return WorldCase(cls(3, 2, latents=2, hidden=16, dropout=0.2), state)


def _with_bias(layer: nn.Linear) -> Tensor:
    return torch.cat([layer.weight, layer.bias[:, None]], dim=1)
