"""Promises of a policy, and the weight whose promise holds."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.evaluation.promises import choose_weight, promised_return
from lowland.worlds.plant import PlantWorld


def test_a_promise_is_the_sum_of_the_imagined_rewards() -> None:
    world, state = PlantWorld.reference_case()

    def still(state: object) -> torch.Tensor:
        return torch.zeros(4, 2)

    with torch.no_grad():
        first = world.step(state, still(state))
        second = world.step(first, still(first))
    expected = float((first["reward"] + second["reward"]).mean())
    assert promised_return(world, still, state, 2) == pytest.approx(expected, rel=1e-6)


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
