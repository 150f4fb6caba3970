"""The recipe `compose`: half images are completed as linear algebra says, and hidden pixels are never looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lowland.data import digits
from lowland.energies import Gaussian, SparseCoding, Sum
from lowland.recipes.foundations.compose.recipe import (
    HALVES,
    PARTNERS,
    ComposeRecipe,
    add,
    correlations,
    curvature,
    mask_of,
)
from lowland.reports.run import Run

CONFIG = ComposeRecipe(atoms=20, rounds=200)


def _gaussian() -> Gaussian:
    return correlations(digits().train.flatten(1))


def _strokes() -> SparseCoding:
    return SparseCoding(64, 20, 0.1, positive=True)


@pytest.mark.parametrize("half", HALVES)
def test_a_gaussian_is_completed_by_its_conditional_mean(half: str) -> None:
    """It is μ_h − P_hh⁻¹ P_hk (y_k − μ_k); with curvatures of 1 to 100 a residual of 1e-4 leaves less than 1e-3."""
    gaussian, y, mask = _gaussian(), digits().test.flatten(1)[:20], mask_of(half)
    hidden, known = mask == 0, mask == 1
    precision, mean = gaussian.precision.detach().double(), gaussian.mean.detach().double()
    pull = (y.double() - mean)[:, known] @ precision[known][:, hidden]
    exact = mean[hidden] - torch.linalg.solve(precision[hidden][:, hidden], pull.T).T
    found = CONFIG.complete(gaussian, y, mask)
    assert (found[:, hidden] - exact).abs().max() < 1e-3
    assert torch.equal(found[:, known], y[:, known])


def test_hidden_pixels_are_not_used() -> None:
    y, mask = digits().test.flatten(1)[:10], mask_of("lower")
    energy = add(_strokes(), "correlations", _gaussian(), 0.01)
    spoiled = y + (1 - mask) * torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(CONFIG.complete(energy, y, mask), CONFIG.complete(energy, spoiled, mask))


def test_the_answer_of_a_sum_is_a_minimum_of_it() -> None:
    """No other filling that is tried has less energy, with the code inferred to 1e-4 for each of them."""
    import lowland as ll

    y, mask = digits().test.flatten(1)[:5], mask_of("right")
    energy = add(_strokes(), "correlations", _gaussian(), 0.03)
    found = CONFIG.complete(energy, y, mask)
    lowest = ll.free_energy(energy, found).value
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        other = found + 0.1 * (1 - mask) * torch.randn(5, 64, generator=generator)
        assert bool((ll.free_energy(energy, other).value > lowest).all())


def test_the_curvature_of_a_sum_adds_up() -> None:
    y = torch.zeros(1, 64)
    energy = Sum({"strokes": _strokes(), "correlations": _gaussian()}, {"correlations": 0.5})
    known = float(torch.linalg.eigvalsh(_gaussian().precision.detach())[-1])
    assert curvature(energy, y) == pytest.approx(1 + 0.5 * known, rel=1e-4)


def test_energies_are_compared_with_each_other(smoke: Callable[[str], Run]) -> None:
    results = smoke("compose").measured
    sums = [f"strokes + {name}" for name in PARTNERS]
    assert results.methods("error") == ["mean image", *PARTNERS, "strokes", *sums]
    assert results.best("error", ["correlations", "mean image"]) == "correlations"
    for both, name in zip(sums, PARTNERS, strict=True):
        terms = zip(results.each("strokes", "error"), results.each(name, "error"), strict=True)
        gains = [own - min(pair) for own, pair in zip(results.each(both, "error"), terms, strict=True)]
        assert results.each(both, "gain") == pytest.approx(gains)
