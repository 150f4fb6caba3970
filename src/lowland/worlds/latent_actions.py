"""A world whose actions are the latents of another: a plan in it chooses what happens, not what is done.

Shape letters: B samples, T steps, Z size of a latent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.errors import OptionError
from lowland.registry import register
from lowland.worlds.base import State, World, WorldCase
from lowland.worlds.latent import goal_cost
from lowland.worlds.vector import VectorWorld


@register("world")
class LatentActions(World):
    """s[t+1] = g(s[t], 0, a[t]): the latent z[t] of a world g is the action here, in all of ℝᶻ.

    The upper level of a plan of plans (LeCun 2022, section 4.7, system W11): g predicts over many steps of the world
    below, and z tells what these steps lead to. A plan must stay where z is likely, so that its energy needs
    −log p(z) = ½ ‖z‖² up to a constant: what g says of an unlikely z has never been seen.

    Args:
        world: g, with latents; its own actions are held at 0.

    Raises:
        OptionError: for a world without latents.

    >>> world = LatentActions(VectorWorld(observations=3, actions=1, latents=2))
    >>> world.step({"observation": torch.zeros(5, 3)}, torch.ones(5, 2))["observation"].shape
    torch.Size([5, 3])
    """

    def __init__(self, world: World) -> None:
        if not world.latents:
            raise OptionError(f"A {type(world).__name__} without latents has nothing that could be chosen.")
        super().__init__(Reals(world.latents))
        self.world = world

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        return self.world.step(state, action.new_zeros(len(action), self.world.actions.size), action, mask)

    def unroll(self, state: State, actions: Tensor, z: Tensor | None = None) -> State | None:
        idle = actions.new_zeros(*actions.shape[:2], self.world.actions.size)
        return self.world.unroll(state, idle, actions)

    def features(self, state: State) -> Tensor:
        return self.world.features(state)

    @classmethod
    def reference_case(cls) -> WorldCase:
        state = {"observation": torch.randn(4, 3, generator=torch.Generator().manual_seed(0))}
        return WorldCase(cls(VectorWorld(3, 1, latents=2, hidden=16)), state)


def likely_goal_cost(weight: float, state: State, action: Tensor) -> Tensor:
    """C = ‖h − h_goal‖² / D + ρ ‖z‖², (B,): near the goal, by latents z that are likely under N(0, I).

    Args:
        weight: ρ.
        state: with "code" and "goal", (B, D).
        action: z, (B, Z).

    >>> likely_goal_cost(0.5, {"code": torch.ones(2, 4), "goal": torch.zeros(2, 4)}, torch.ones(2, 2))
    tensor([2., 2.])
    """
    return goal_cost(state, action) + weight * action.square().sum(dim=1)
