"""The recipe `compose`: half images are completed as linear algebra says, and hidden pixels are never looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowland.data import digits
from lowland.energies import Gaussian, SparseCoding, Sum
from lowland.errors import OptionError
from lowland.recipes import compose as recipe
from lowland.recipes.base import execute, start
from lowland.recipes.compose_page import HALVES, PARTNERS, mask_of

CONFIG = recipe.ComposeRecipe(atoms=20, rounds=200)


def _gaussian() -> Gaussian:
    return recipe._correlations(digits().train.flatten(1))


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
    energy = recipe._sum(_strokes(), "correlations", _gaussian(), 0.01)
    spoiled = y + (1 - mask) * torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(CONFIG.complete(energy, y, mask), CONFIG.complete(energy, spoiled, mask))


def test_the_answer_of_a_sum_is_a_minimum_of_it() -> None:
    """No other filling that is tried has less energy, with the code inferred to 1e-4 for each of them."""
    import lowland as ll

    y, mask = digits().test.flatten(1)[:5], mask_of("right")
    energy = recipe._sum(_strokes(), "correlations", _gaussian(), 0.03)
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
    assert recipe._curvature(energy, y) == pytest.approx(1 + 0.5 * known, rel=1e-4)


def test_energies_are_compared_with_each_other_also_after_a_resume(tmp_path: Path) -> None:
    config = recipe.ComposeRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    errors = {row["method"]: row for row in run.results if row["claim"].startswith("mean squared")}
    assert list(errors) == ["mean image (baseline)", *PARTNERS, "strokes", *[f"strokes + {name}" for name in PARTNERS]]
    assert all(row["seeds"] == 2 and row["measured"] > 0 for row in errors.values())
    for stage in ("any-half", "seed-1/test", "seed-1/validation"):
        (run.folder / "stages" / f"{stage}.safetensors").unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results
    assert errors["correlations"]["measured"] < errors["mean image (baseline)"]["measured"]


@pytest.mark.parametrize("options", [{"hidden": "lowest"}, {"seeds": 0}, {"images": 9}, {"atoms": 0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        recipe.ComposeRecipe.from_options(options)
