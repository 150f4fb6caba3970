"""How far a solver is from a minimum that is known."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
from lowland.errors import OptionError
from lowland.evaluation.optimality import optimality
from lowland.plots.plans import plan_paths
from lowland.worlds import LinearWorld
from lowland.worlds.linear import riccati
from lowland.worlds.rollout import rollout


def test_a_few_steps_leave_a_gap_that_many_close() -> None:
    world, eye = LinearWorld([[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]]), torch.eye
    gains, value = riccati(world, eye(2), eye(1), 8)
    x = {"state": torch.tensor([[1.0, 0.0], [0.0, 2.0]])}
    plan = ll.planning.PlanEnergy(world, lambda s, a: 0.5 * (s["state"].square().sum(1) + a.square().sum(1)), 8)
    with torch.no_grad():
        best = rollout(world, x, lambda state, t: -state["state"] @ gains[t].T, None, 8).actions
    least = 0.5 * (x["state"] @ value * x["state"]).sum(dim=1)
    few, many = (
        optimality(plan, x, ll.solvers.GradientDescent(0.2, max_steps=n, tol=None), least, best) for n in (3, 400)
    )
    assert few.gap > 1e-3 > abs(many.gap)
    assert few.distance > 1e-2 > many.distance
    assert few.steps == 3
    assert few.at == [1, 2, 3, 4]
    assert len(many.at) == len(many.gaps) <= 41
    assert many.at[-1] == 401
    assert many.gaps[0] > many.gaps[-1]
    assert many.gaps[-1] == pytest.approx(many.gap, abs=1e-6)


def test_plans_are_drawn_for_three_planners_at_most() -> None:
    plan = torch.zeros(5, 4, 2), torch.ones(5, 3)
    left, right = plan_paths({"a": plan, "b": plan}, step=0.5).axes
    assert [len(ax.lines) for ax in (left, right)] == [6, 6]
    assert list(right.lines[0].get_xdata()) == [0.0, 0.5, 1.0]  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="one to 3 planners, not 4"):
        plan_paths(dict.fromkeys("abcd", plan), step=0.5)
