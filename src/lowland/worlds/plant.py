"""A forward model of a plant that also predicts the reward of a step and whether the plant goes on.

Shape letters: B samples, T steps, D size of an observation, A of an action, H hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.nn.layers import linear
from lowland.registry import register
from lowland.worlds.base import State, WorldCase, standardise
from lowland.worlds.vector import VectorWorld


@register("world")
class PlantWorld(VectorWorld):
    """o[t+1] as of a `VectorWorld`, r[t+1] = c[t] (m + d ρ(s[t], a[t])) and c[t+1] = c[t] σ(ℓ(s[t], a[t])).

    r is the reward of the step that led to a state, and c the probability that the plant has not ended by then, so that
    −r is the cost of an environment of Gymnasium (`reward_cost`), and nothing is paid after its end. ρ and ℓ are two
    more outputs of the network, m and d the mean and deviation of the rewards in the data. If no episode of the data
    ends, the plant never does. Actions that lead to an end are punished by the rewards that are lost, as in the plant.
    States are {"observation": (B, D), "reward": (B,), "alive": (B,)}, with r and c of the step before.

    Source: rewards and ends as outputs of the model as in Hafner et al. 2020, "Dream to control" (equation 4 and
    section 3), here for vectors.

    Args:
        observations, actions, latents, hidden, dropout, bounded, generator: as of `VectorWorld`.

    >>> world, state = PlantWorld.reference_case()
    >>> {name: tuple(part.shape) for name, part in world.step(state, torch.zeros(4, 2)).items()}
    {'observation': (4, 3), 'reward': (4,), 'alive': (4,)}
    """

    reward_mean: Tensor
    reward_deviation: Tensor
    ends: Tensor

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
        generator = generator or torch.Generator().manual_seed(0)
        super().__init__(observations, actions, latents, hidden, dropout, bounded, generator)
        self.outcome = linear(hidden, 2, generator)
        self.register_buffer("reward_mean", torch.zeros(1))
        self.register_buffer("reward_deviation", torch.ones(1))
        self.register_buffer("ends", torch.zeros(1))
        """The deviation of c in the data, 0 where no episode ends."""

    def initialise(self, state: State, actions: Tensor, states: State) -> None:
        super().initialise(state, actions, states)
        standardise(states["reward"][..., None], self.reward_mean, self.reward_deviation)
        self.ends.fill_(states["alive"].std())

    def unroll(self, state: State, actions: Tensor, z: Tensor | None = None) -> State | None:
        """None: that of the parent leaves out rewards and ends."""
        return None

    def features(self, state: State) -> Tensor:
        """(B, D + 1), the z-scored observation and reward, or (B, D + 2) with c where the plant may end."""
        parts = [self._scaled(state), (state["reward"][:, None] - self.reward_mean) / self.reward_deviation]
        if bool(self.ends):
            parts.append(state["alive"][:, None] / self.ends)
        return torch.cat(parts, dim=1)

    def misfit(self, predicted: State, actual: State) -> Tensor:
        """(B,): that of the observation, the squared error of r in its deviation, and the relative entropy of c.

        A squared error would leave c a little below 1 everywhere, which a long roll-out multiplies.
        """
        error = super().misfit(predicted, actual)
        error = error + ((predicted["reward"] - actual["reward"]) / self.reward_deviation).square()
        if bool(self.ends):
            truth, guess = (part["alive"].clamp(_LEAST, 1 - _LEAST) for part in (actual, predicted))
            error = error + truth * (truth / guess).log() + (1 - truth) * ((1 - truth) / (1 - guess)).log()
        return error

    def _decode(self, before: State, code: Tensor) -> State:
        inner = functional.silu(self.third(code))
        reward, ends = self.outcome(inner).unbind(dim=1)
        alive = before["alive"]
        return {
            "observation": before["observation"] + self.change_mean + self.change_deviation * self.out(inner),
            "reward": alive * (self.reward_mean + self.reward_deviation * reward),
            "alive": alive * torch.sigmoid(ends + _HOPE) if bool(self.ends) else alive,
        }

    @classmethod
    def reference_case(cls) -> WorldCase:
        noise = torch.Generator().manual_seed(0)
        state = {"observation": torch.randn(4, 3, generator=noise), "reward": torch.zeros(4), "alive": torch.ones(4)}
        world = cls(3, 2, latents=2, hidden=16, dropout=0.2)
        world.ends.fill_(0.1)
        return WorldCase(world, state)


_HOPE = 3.0
"""Before training the plant goes on with probability σ(3) = 0.95."""
_LEAST = 1e-6
