"""Verification: the equal-error rate of known distributions, all pairs, the hardest pairs, and what is refused."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import LowlandError
from lowland.evaluation.verification import all_pairs, hardest_pairs, verification, verify_best


def test_the_equal_error_rate_is_where_false_alarms_and_misses_meet() -> None:
    """Two Gaussians of deviation 1 whose means are 2 apart meet at Φ(−1) = 0.1587, half way between them.

    Of 20,000 pairs of each kind the share that is found has a deviation of 0.0026; the bound is four times that.
    """
    generator = torch.Generator().manual_seed(0)
    together = torch.arange(40_000) < 20_000
    distance = torch.randn(40_000, generator=generator) + torch.where(together, 0.0, 2.0)
    assert verification(distance, together).equal_error == pytest.approx(0.1587, abs=0.0104)


def test_verification_of_the_best_and_of_the_worst() -> None:
    together = torch.tensor([True, True, False, False])
    assert verification(torch.tensor([0.0, 1.0, 2.0, 3.0]), together).equal_error == 0.0
    assert verification(torch.tensor([3.0, 2.0, 1.0, 0.0]), together).equal_error == 1.0


@pytest.mark.parametrize(
    ("distance", "together"),
    [
        (torch.zeros(3), torch.tensor([True, False])),
        (torch.tensor([0.0, torch.nan]), torch.tensor([True, False])),
        (torch.zeros(2), torch.tensor([True, True])),
    ],
)
def test_pairs_that_cannot_be_compared(distance: torch.Tensor, together: torch.Tensor) -> None:
    with pytest.raises(LowlandError):
        verification(distance, together)


def test_all_pairs_by_cosine_do_not_see_length() -> None:
    codes, labels = torch.rand(5, 3) + 0.1, torch.tensor([0, 0, 1, 1, 2])
    far, together = all_pairs(codes, labels, cosine=True)
    torch.testing.assert_close(far, all_pairs(3 * codes, labels, cosine=True)[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(far[0], 1 - torch.cosine_similarity(codes[0], codes[1], dim=0), rtol=1e-4, atol=1e-6)
    assert together.tolist() == [True] + [False] * 6 + [True] + [False] * 2


def test_the_hardest_pairs_are_at_most_all_there_are() -> None:
    strangers, friends = hardest_pairs(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 1, 0]), 10)
    assert strangers.T.tolist() == [[0, 1], [1, 2]]
    assert friends.T.tolist() == [[0, 2]]


def test_the_way_is_chosen_on_validation_samples_alone() -> None:
    """The first number tells the validation people apart, the second the test people."""
    samples = torch.tensor([[0.0, 5.0], [0.1, -5.0], [3.0, 5.0], [3.1, -5.0]])
    ways = {"first": lambda x: x[:, :1], "second": lambda x: x[:, 1:]}
    found = verify_best(ways, (samples, torch.tensor([0, 0, 1, 1])), (samples, torch.tensor([0, 1, 0, 1])))
    assert (found.way, found.validation) == ("first", 0.0)
    assert found.test.equal_error > 0
    assert torch.equal(found.codes, samples[:, :1])
