"""Which words are right: a network whose weights count by construction, and those that do not."""

from __future__ import annotations

import pytest
import torch

from lowland.data.counting import counting_trials
from lowland.evaluation.counting import counting_rows, most_frequent_rows, right_words, stack_depths
from lowland.nn.stacks import LSTM, StackNetwork


@pytest.fixture
def counter() -> StackNetwork:
    """Pushes at each a and pops at each b; after a b comes another as long as two entries were there before it."""
    network = StackNetwork(2, hidden=3, stacks=1, capacity=8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.look_weight[0, 0, 0] = network.look_weight[0, 1, 1] = 20.0
        network.bias[0, 0] = torch.tensor([-10.0, -9.0, 0.0])  # without a symbol it pops
        network.read_weight[0, 1, 2] = 20.0
        network.act_weight[0, 0, 1] = network.act_weight[0, 1, 2] = 10.0
        network.decide_weight[0, 2, 1] = 20.0
        network.decide_bias[0, 0, 1] = -10.0
    return network


def test_a_counter_is_right_on_every_size(counter: StackNetwork) -> None:
    rows, right = counting_rows(counter, "anbn", 60, 19, torch.Generator().manual_seed(0))
    assert right.shape == (1, 60)
    assert bool(right.all())
    assert (rows[0]["right"], rows[0]["beyond"], rows[0]["all"]) == (100.0, 100.0, 100.0)
    assert not counter.discrete
    assert counter.capacity == 8


def test_its_stack_rises_and_falls(counter: StackNetwork) -> None:
    symbols = torch.tensor([0, 0, 0, 1, 1, 1, 0])
    assert stack_depths(counter, symbols)[:, 0].tolist()[1:] == [1, 2, 3, 2, 1, 0]


def test_one_wrong_letter_makes_a_word_wrong(counter: StackNetwork) -> None:
    trials = counting_trials("anbn", [2, 3], 3, torch.Generator().manual_seed(0), before=0)
    symbols = trials.symbols.clone()
    symbols[1, 5] = 0  # aaabba: the fifth letter after the first b must be b
    assert right_words(counter, trials._replace(symbols=symbols)).tolist() == [[True, False]]


def test_who_says_one_letter_is_wrong_wherever_two_are_needed() -> None:
    found = most_frequent_rows("anbn", 10, 5, torch.Generator().manual_seed(0))
    assert found["all"] == 0.0
    assert found["right"] == pytest.approx(0.0) or found["right"] == pytest.approx(10.0)  # a is right after ab alone
    assert found["validation"] == pytest.approx(0.693, abs=1e-3)
    rows, right = counting_rows(LSTM(2, copies=2), "anbn", 6, 4, torch.Generator().manual_seed(0))
    assert [row["right"] for row in rows] == [pytest.approx(100 * float(one.float().mean())) for one in right]
