"""Plans go through the world in blocks of rows and of steps, with futures and masks of their own or given ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lowland.errors import OptionError, ShapeError
from lowland.planning import energy
from lowland.planning.energy import PlanEnergy, square_cost
from lowland.solvers.base import bind
from lowland.worlds.driving_costs import DrivingCost
from lowland.worlds.linear import LinearWorld
from lowland.worlds.traffic import TrafficWorld, example
from lowland.worlds.vector import VectorWorld


@pytest.mark.parametrize(("uncertainty", "futures"), [(0.0, 0), (0.5, 3)])
def test_blocks_change_no_number(monkeypatch: pytest.MonkeyPatch, uncertainty: float, futures: int) -> None:
    """7 states of 4 plans (of 3 futures), 30 rows at a time: 4 or 7 blocks, of which the last may be short."""
    world = TrafficWorld(latents=20).double().eval()
    torch.nn.init.normal_(world.last.weight, generator=torch.Generator().manual_seed(0))
    plan = PlanEnergy(world, DrivingCost(steady=True), 3, uncertainty=uncertainty, masks=3, futures=futures)
    state = {name: part.double() for name, part in example(10, 7).items()}
    state["own"] = state["own"] + torch.arange(7.0)[:, None] * torch.tensor([1.0, 0.1, 0.0, 0.0, 0.5])
    x = plan.draw(state)
    plans = 2 * torch.rand(7, 4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1
    problem, found = bind(plan, {"x": x}, "y", checked=True), []
    with torch.no_grad():
        for rows in (10_000, 30):
            monkeypatch.setattr(energy, "_BLOCK", rows)
            found.append(problem.candidates(plans))
    assert found[0].std() > 0
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)  # sums of at most 64 terms of size 1 to 10


@pytest.mark.parametrize("rows", [10_000, 12])
def test_a_policy_that_reads_out_a_plan_costs_what_the_plan_does(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Also where 6 rows with 2 masks go through the world one step at a time, and the policy is asked by number."""
    world = VectorWorld(2, 1, latents=2, hidden=8, dropout=0.3).double()
    plan = PlanEnergy(world, lambda state, action: state["observation"][:, 0], 4, 0.5, masks=2, futures=3, discount=0.9)
    noise = torch.Generator().manual_seed(0)
    x = plan.draw({"observation": torch.randn(2, 2, generator=noise, dtype=torch.float64)}, noise)
    actions = torch.rand(6, 4, 1, generator=noise, dtype=torch.float64)
    whole = plan.terms(act=actions, **x)
    monkeypatch.setattr(energy, "_ROWS", rows)
    asked = plan.terms(act=lambda state, t: actions[:, t], **x)
    for one, other in zip(whole, asked, strict=True):
        assert one.std() > 0
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_futures_that_are_given_stay_and_only_masks_are_drawn() -> None:
    world = VectorWorld(2, 1, latents=2, hidden=8, dropout=0.3)
    plan = PlanEnergy(world, lambda state, action: state["observation"][:, 0], 3, uncertainty=0.5, futures=2)
    state, futures = {"observation": torch.ones(2, 2)}, torch.randn(2, 2, 3, 2)
    found = plan.encode({"state": state, "futures": futures})
    assert torch.equal(found["futures"], futures)
    assert found["masks"].shape == (2, 3, 10, world.masked)
    assert plan(x=found, y=torch.zeros(2, 3, 1)).tolist() != plan(x=state, y=torch.zeros(2, 3, 1)).tolist()


def test_a_state_that_has_a_part_called_futures_is_a_state() -> None:
    plan = PlanEnergy(LinearWorld([[1.0]], [[1.0]]), square_cost, 2)
    state = {"state": torch.ones(1, 1), "futures": torch.ones(1, 1)}
    assert set(plan.encode(state)) == {"state"}
    assert set(plan.encode(state)["state"]) == {"state", "futures"}


def test_what_a_plan_lacks_is_said() -> None:
    world = VectorWorld(2, 1, latents=2, hidden=8, dropout=0.3)
    state = {"observation": torch.ones(2, 2)}
    needs: tuple[dict[str, Any], ...] = ({"uncertainty": 0.5, "futures": 0}, {"futures": 2})
    for given in needs:
        plan = PlanEnergy(world, lambda state, action: state["observation"][:, 0], 3, **given)
        with pytest.raises(OptionError, match="pass those of `draw"):
            plan.terms(state, torch.zeros(2, 3, 1))
    with pytest.raises(ShapeError, match="'mask'"):
        plan(x={"state": state, "mask": torch.zeros(2, 3, 10, 8)}, y=torch.zeros(2, 3, 1))
