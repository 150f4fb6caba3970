"""Promises of a policy, and the weight whose promise holds."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.evaluation.promises import choose_weight, kept_promise, known_return, promised_return
from lowland.worlds.plant import PlantWorld
from lowland.worlds.uncertainty import Ensemble, Spread, variance


def test_a_promise_is_the_sum_of_the_imagined_rewards() -> None:
    world, state = PlantWorld.reference_case()

    def still(state: object) -> torch.Tensor:
        return torch.zeros(4, 2)

    with torch.no_grad():
        first = world.step(state, still(state))
        second = world.step(first, still(first))
    expected = float((first["reward"] + second["reward"]).mean())
    assert promised_return(world, still, state, 2) == pytest.approx(expected, rel=1e-6)


def test_steps_that_a_held_out_model_does_not_know_keep_no_promise() -> None:
    """The same roll-out by hand: two of eight steps are less sure than the limit, and pay the lowest reward."""
    _, state = PlantWorld.reference_case()
    worlds = [PlantWorld(3, 2, hidden=16, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    world = Ensemble(worlds)

    def still(state: object) -> torch.Tensor:
        return torch.zeros(4, 2)

    with torch.no_grad():
        first = world.step(state, still(state))
        second = world.step(first, still(first))
        masks = torch.eye(3)[None]
        unsure = [variance(world, before, still(before), None, masks) for before in (state, first)]
    limit = float(torch.cat(unsure).sort().values[5:7].mean())
    rewards = [torch.where(u > limit, -7.0, s["reward"]) for u, s in zip(unsure, (first, second), strict=True)]
    assert sum(int((u > limit).sum()) for u in unsure) == 2
    usual = Spread(torch.zeros(1), torch.full((1,), limit / 3))
    found = known_return(world, still, state, 2, usual, lowest=-7.0)
    assert found == pytest.approx(float(sum(part.mean() for part in rewards)), rel=1e-5)
    surely = known_return(world, still, state, 2, Spread(torch.zeros(1), torch.full((1,), 1e9)), lowest=-7.0)
    assert surely == pytest.approx(promised_return(world, still, state, 2), rel=1e-5)


def test_a_kept_promise_is_what_is_held_less_what_it_is_off_by() -> None:
    assert kept_promise(100.0, 70.0) == 40.0
    assert kept_promise(50.0, 70.0) == 50.0


def test_no_uncertainty_cost_is_chosen_where_its_promise_holds() -> None:
    assert choose_weight([0.0, 1.0], [90.0, 80.0], [90.0, 80.0]) == 0.0


def test_a_promise_that_is_broken_counts_twice() -> None:
    assert choose_weight([0.0, 1.0], [100.0, 60.0], [70.0, 60.0]) == 1.0


def test_of_equals_the_smallest_is_taken_whatever_the_order() -> None:
    assert choose_weight([2.0, 1.0], [5.0, 5.0], [5.0, 5.0]) == 1.0


@pytest.mark.parametrize("held", [[], [1.0, 2.0]])
def test_each_weight_needs_both_promises(held: list[float]) -> None:
    with pytest.raises(OptionError, match="needs a promise"):
        choose_weight([0.0], [1.0], held)
