"""Plans of plans: the lower level goes where the upper one wants to be, not to the goal."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowland.domains import Box
from lowland.errors import OptionError
from lowland.planning.control import Controller
from lowland.planning.energy import PlanEnergy
from lowland.planning.hierarchy import Hierarchy
from lowland.solvers.mppi import MPPI
from lowland.worlds.base import State, World
from lowland.worlds.latent import goal_cost


class Walk(World):
    """The code is a place in the plane, and an action moves it by so much."""

    def __init__(self, step: float) -> None:
        super().__init__(Box(2, low=-1.0, high=1.0))
        self.length = step

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        return {**state, "code": state["code"] + self.length * action}


def towards_above(state: State, action: Tensor) -> Tensor:
    """The upper level wants to be at (0, 1), wherever the goal is."""
    return (state["code"] - torch.tensor([0.0, 1.0])).square().sum(dim=1)


def level(step: float, cost: object, seed: int) -> Controller:
    solver = MPPI(256, max_steps=20, tol=None)
    return Controller(PlanEnergy(Walk(step), cost, 2, futures=0), solver, torch.Generator().manual_seed(seed))  # pyright: ignore[reportArgumentType]


def test_the_lower_level_goes_where_the_upper_one_wants_to_be() -> None:
    control = Hierarchy(level(1.0, towards_above, 0), level(0.1, goal_cost, 1), stride=2)
    state = {"code": torch.zeros(3, 2), "goal": torch.tensor([[5.0, 0.0]]).expand(3, 2)}
    action = control(state)
    assert control.subgoal is not None
    torch.testing.assert_close(control.subgoal, torch.tensor([[0.0, 1.0]]).expand(3, 2), atol=0.05, rtol=0)
    assert bool((action[:, 1] > 0.9).all())
    assert bool((action[:, 0].abs() < 0.3).all())


def test_rows_that_have_ended_leave_both_levels() -> None:
    control = Hierarchy(level(1.0, towards_above, 0), level(0.1, goal_cost, 1), stride=2)
    state = {"code": torch.zeros(3, 2), "goal": torch.ones(3, 2)}
    control(state)
    control.select(torch.tensor([0, 2]))
    assert control.subgoal is not None
    assert len(control.subgoal) == 2
    assert control({name: part[:2] for name, part in state.items()}).shape == (2, 2)
    assert control.upper.found is not None
    control.reset()
    assert control.upper.found is None


def test_the_upper_level_plans_before_every_kth_action_only() -> None:
    control = Hierarchy(level(1.0, towards_above, 0), level(0.1, goal_cost, 1), stride=3)
    state = {"code": torch.zeros(2, 2), "goal": torch.ones(2, 2)}
    for _ in range(7):
        control(state)
    assert len(control.upper.seconds) == 3
    assert len(control.lower.seconds) == 7
    with pytest.raises(OptionError, match="at least 1 step, but it is 0"):
        Hierarchy(control.upper, control.lower, stride=0)
