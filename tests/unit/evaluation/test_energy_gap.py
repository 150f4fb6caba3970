"""The energy gap against scikit-learn, and what it does with ties, infinities and bad input."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.metrics import roc_auc_score

import lowland as ll
from lowland.errors import OptionError, ShapeError
from lowland.evaluation import auroc, baselines, energy_gap, make_negatives, scores

LEVELS = st.lists(st.integers(-3, 3), min_size=1, max_size=30)


@given(LEVELS, LEVELS)
def test_auroc_equals_scikit_learn_with_ties(data: list[int], negatives: list[int]) -> None:
    expected = roc_auc_score([0] * len(data) + [1] * len(negatives), data + negatives)
    found = auroc(torch.tensor(data, dtype=torch.float32), torch.tensor(negatives, dtype=torch.float32))
    # Both are rational numbers with denominator 2 N M ≤ 1800: rounding of doubles is far below 1e-12.
    assert found == pytest.approx(expected, abs=1e-12)


def test_auroc_of_many_numbers_equals_scikit_learn(generator: torch.Generator) -> None:
    data, negatives = torch.randn(700, generator=generator), torch.randn(500, generator=generator) + 0.3
    labels = np.r_[np.zeros(700), np.ones(500)]
    assert auroc(data, negatives) == pytest.approx(roc_auc_score(labels, torch.cat([data, negatives])), abs=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_energies_count_against_the_energy(bad: float) -> None:
    good = torch.zeros(4)
    assert auroc(torch.tensor([bad, 0.0]), good + 1) == 0.5
    assert auroc(good, torch.tensor([bad, 1.0])) == 0.5


def test_non_finite_energies_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    test, far = torch.zeros(3, 2), torch.tensor([[5.0, 0.0], [0.0, 1.0]])
    found = energy_gap(lambda y: torch.where(y[:, 0] > 2, math.nan, y.norm(dim=1)), test, {"far": far})
    assert found == {"far": 0.5}
    assert found.non_finite == {"data": 0, "far": 1}
    assert "counted against the energy" in caplog.text


def test_scores_are_free_energies_in_chunks(generator: torch.Generator) -> None:
    energy = ll.energies.PCA(4, 2, generator=generator)
    y = torch.randn(10, 4, generator=generator)
    chunked = scores(energy, y.double(), batch_size=3)
    # A chunk of another size may add up in another order: float32 rounding of sums of four squares of order one.
    assert torch.allclose(chunked, ll.free_energy(energy, y).value.detach(), atol=1e-5)
    assert not chunked.requires_grad


def test_a_conditional_energy_is_scored_with_its_input() -> None:
    class Follow(ll.energies.Energy):
        def __init__(self) -> None:
            super().__init__(x=ll.domains.Reals(2), y=ll.domains.Reals(2))

        def energy(self, x, y, z):
            return (y - x).square().sum(dim=1)

    y = torch.arange(10.0).reshape(5, 2)
    assert scores(Follow(), y, y + 1, batch_size=2).tolist() == [2.0] * 5


def test_baselines() -> None:
    known = baselines(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    assert known["norm"](torch.tensor([[1.0, 3.0]])).tolist() == [9.0]
    assert energy_gap(known["constant"], torch.zeros(5, 2), {"any": torch.ones(4, 2)}) == {"any": 0.5}


def test_a_mixture_tells_the_ellipse_from_noise(generator: torch.Generator) -> None:
    train, test = ll.data.toy("ellipse", 400, generator), ll.data.toy("ellipse", 200, generator)
    gap = energy_gap(ll.energies.Ellipse(), test, make_negatives(test, train, generator))
    assert gap["uniform_box"] > 0.9
    assert min(gap.values()) > 0.7


def test_bad_input() -> None:
    with pytest.raises(OptionError, match="batch_size"):
        scores(ll.energies.Ellipse(), torch.zeros(1, 2), batch_size=0)
    with pytest.raises(ShapeError, match="one number for each point"):
        scores(lambda y: y, torch.zeros(1, 2))
    with pytest.raises(ShapeError, match="two non-empty vectors"):
        auroc(torch.zeros(0), torch.zeros(1))
