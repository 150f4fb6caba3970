"""A world whose actions are the latents of another: a plan in it chooses what happens, not what is done.

Shape letters: B samples, T steps, Z size of a latent.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.errors import OptionError, ShapeError
from lowland.registry import register
from lowland.worlds.base import State, World, WorldCase
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


class StepDistance(nn.Module):
    """C = ‖W (h − h_goal)‖² / D + ρ ‖z‖², WᵀW = C_k⁻¹: how far two codes are, in what changes in k steps.

    C_k is the mean of (h[t+k] − h[t]) (h[t+k] − h[t])ᵀ over a log. Codes of places far apart may be no further from
    each other than those of neighbours, since what varies fast fills most of a code; here it counts little, and what
    varies slowly counts much (a linear case of the distances of slow features: Wiskott & Sejnowski 2002; Wu, Tucker &
    Nachum 2019, "The Laplacian in RL"). With ρ > 0, actions are latents, which shall be likely under N(0, I).

    Args:
        size: D.
        floor: share of the mean variance that is added to each, so that what never changes does not count without
            bound.

    Raises:
        OptionError: for a floor that is not positive.
        ShapeError: from `fit`, where no episode has k steps.

    >>> distance = StepDistance(2)
    >>> walk = torch.tensor([[0.0, 0.0], [1.0, 0.1], [0.0, 0.2], [1.0, 0.3], [0.0, 0.4]])
    >>> distance.fit([{"observation": walk}], stride=1)
    >>> near, far = ({"code": torch.tensor([code]), "goal": torch.zeros(1, 2)} for code in ([1.0, 0.0], [0.0, 1.0]))
    >>> round(float(distance(near)), 1), round(float(distance(far)), 1)  # what moves slowly counts more
    (0.5, 47.6)
    """

    root: Tensor

    def __init__(self, size: int, floor: float = 1e-3) -> None:
        super().__init__()
        if not floor > 0:
            raise OptionError(f"floor must be positive, but it is {floor}.")
        self.floor = floor
        self.register_buffer("root", torch.eye(size))

    @torch.no_grad()
    def fit(self, paths: Sequence[State], stride: int) -> None:
        """Set W from codes (T + 1, D) of episodes, under "observation", with k = `stride`."""
        changes = [path["observation"][stride:] - path["observation"][:-stride] for path in paths]
        change = torch.cat(changes).to(torch.float64)
        if not len(change):
            raise ShapeError(f"No episode has {stride} steps: use a shorter stride.")
        spread = change.T @ change / len(change)
        spread += self.floor * spread.diagonal().mean().clamp_min(1e-30) * torch.eye(len(spread))
        self.root.copy_(torch.linalg.inv(torch.linalg.cholesky(spread)))

    def forward(self, state: State, action: Tensor | None = None) -> Tensor:
        """(B,), for a state with "code" and "goal" (B, D); the action has no cost."""
        return ((state["code"] - state["goal"]) @ self.root.T).square().mean(dim=1)

    def likely(self, weight: float, state: State, action: Tensor) -> Tensor:
        """The same with ρ ‖z‖², for an action z (B, Z)."""
        return self(state) + weight * action.square().sum(dim=1)
