"""Plans of plans: an upper level plans in long steps where to be, a lower one how to get there.

Shape letters: B samples, D size of a code, A of an action.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import OptionError
from lowland.planning.control import Controller
from lowland.worlds.base import State


class Hierarchy:
    """A policy on two levels: state → the first action of a plan towards the first state of an upper plan, (B, A).

    The upper plan is argmin over its actions of E(h, z) = Σ_j ‖h[j] − h_goal‖² / D + …, in a world that predicts over k
    steps at once; h[1], where it wants to be after k steps, is the goal of the lower plan (LeCun 2022, section 4.7,
    system W11). The lower level plans anew before each action, the upper one before every k-th, from its last plan
    shifted by one of its steps. Both are solved by whatever solver their controller has.

    States are {"code": (B, D), "goal": (B, D)}, as for `lowland.worlds.latent.goal_cost`.

    Args:
        upper, lower: controllers of the two levels, whose worlds have codes in common.
        stride: k.

    Raises:
        OptionError: for a stride below 1.

    >>> from lowland.planning.energy import PlanEnergy
    >>> from lowland.solvers.mppi import MPPI
    >>> from lowland.worlds.latent import LatentWorld, goal_cost
    >>> world = LatentWorld((2, 16, 16), size=8, maps=(4, 4))
    >>> level = Controller(PlanEnergy(world, goal_cost, horizon=3), MPPI(samples=4, max_steps=1, tol=None))
    >>> Hierarchy(level, level, stride=4)({"code": torch.zeros(5, 8), "goal": torch.ones(5, 8)}).shape
    torch.Size([5, 2])
    """

    def __init__(self, upper: Controller, lower: Controller, stride: int) -> None:
        if stride < 1:
            raise OptionError(f"The stride of an upper plan must be at least 1 step, but it is {stride}.")
        self.upper, self.lower, self.stride, self.calls = upper, lower, stride, 0
        self.subgoal: Tensor | None = None
        """h[1] of the last upper plan, (B, D)."""

    def reset(self, batch: int | None = None) -> None:
        """Discard the last plans, as at the start of an episode; `batch` is ignored."""
        self.upper.reset(batch)
        self.lower.reset(batch)
        self.subgoal, self.calls = None, 0

    def select(self, rows: Tensor) -> None:
        """Keep the plans of some rows only."""
        self.upper.select(rows)
        self.lower.select(rows)
        self.subgoal = None if self.subgoal is None else self.subgoal[rows]

    @torch.no_grad()
    def __call__(self, state: State) -> Tensor:
        if self.subgoal is None or len(self.subgoal) != len(state["code"]):
            self.reset()
        if self.calls % self.stride == 0:
            self.subgoal = self.upper.plan.world.step(state, self.upper(state))["code"]
        self.calls += 1
        assert self.subgoal is not None
        return self.lower({**state, "goal": self.subgoal})
