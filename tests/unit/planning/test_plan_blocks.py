"""Candidates of many states go through the world in blocks, and each has the energy that it has alone."""

from __future__ import annotations

import pytest
import torch

from lowland.planning import energy
from lowland.planning.energy import PlanEnergy
from lowland.solvers.base import bind
from lowland.worlds.driving_costs import DrivingCost
from lowland.worlds.traffic import TrafficWorld, example


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
