"""Costs to go of a log, and the network that learns them."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.nn.vector_eyes import VectorEyes
from lowland.planning.cost_to_go import CostToGo, best_episodes, costs_to_go


def path(rewards: list[float], alive: bool) -> dict[str, torch.Tensor]:
    count = len(rewards)
    return {
        "observation": torch.zeros(count + 1, 2),
        "actions": torch.zeros(count, 1),
        "reward": torch.tensor([0.0, *rewards]),
        "alive": torch.tensor([1.0] * count + [float(alive)]),
    }


def test_costs_to_go_by_hand() -> None:
    ended, cut = path([1.0, 2.0], alive=False), path([1.0, 3.0], alive=True)
    after = -2.0 / (1 - 0.5)
    expected = [-1 - 0.5 * 2, -2.0, -1 + 0.5 * (-3 + 0.5 * after), -3 + 0.5 * after]
    assert costs_to_go([ended, cut], 0.5).tolist() == pytest.approx(expected)


def test_a_discount_of_one_is_refused() -> None:
    with pytest.raises(OptionError, match="discount"):
        costs_to_go([path([1.0], False)], 1.0)


def test_nothing_is_to_be_paid_after_the_end() -> None:
    value = CostToGo(VectorEyes(2))
    value.scaled(torch.tensor([3.0, 5.0]))
    state = {"observation": torch.ones(2, 2), "alive": torch.tensor([1.0, 0.0])}
    found = value(state).tolist()
    assert found[1] == 0
    assert found[0] != 0


def test_scaled_costs_come_back_from_the_network() -> None:
    value = CostToGo(VectorEyes(2))
    costs = torch.tensor([3.0, 5.0, 10.0])
    scaled = value.scaled(costs)
    assert scaled.shape == (3, 1)
    assert torch.allclose(value.mean + value.deviation * scaled[:, 0], costs)


def test_the_best_episodes_hold_the_share() -> None:
    paths = [path([r] * 4, True) for r in (1.0, 5.0, 3.0, 2.0)]
    assert [float(one["reward"][1]) for one in best_episodes(paths, 0.5)] == [5.0, 3.0]
    assert [float(one["reward"][1]) for one in best_episodes(paths, 0.0)] == [5.0]
