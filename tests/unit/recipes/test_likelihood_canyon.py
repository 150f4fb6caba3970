"""The canyon deepens without smoothness; what is measured of it agrees with energies whose answer is known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lowland.data import toy
from lowland.energies import Gaussian
from lowland.errors import OptionError
from lowland.recipes import likelihood_canyon as recipe
from lowland.recipes.base import execute, start
from lowland.recipes.likelihood_canyon_page import LENGTH, PLAIN, SMOOTH, steepest


def test_the_length_is_that_of_the_spiral() -> None:
    """The curve by 100,001 points of its formula: chords fall short of arcs by less than 1e-6 here."""
    angle = torch.linspace(0, 4 * math.pi, 100_001, dtype=torch.float64)
    curve = angle[:, None] / (2 * math.pi) * torch.stack([angle.cos(), angle.sin()], dim=1)
    assert (curve[1:] - curve[:-1]).norm(dim=1).sum().item() == pytest.approx(LENGTH, abs=5e-3)


def test_the_steepest_slope_balances_the_flux() -> None:
    """Half of A / (2 λ ℓ) on each side, for A = 5.2² and λ = 0.1."""
    assert steepest(0.1) == pytest.approx(5.2**2 / (2 * 0.1 * LENGTH) / 2)


def test_slope_stiffness_and_distance_on_known_land() -> None:
    """F = ½ (y₁² · 1 + y₂² · 9): the larger curvature is 9, and at (0, 2) the slope is 18."""
    bowl = Gaussian(2, precision=torch.diag(torch.tensor([1.0, 9.0])))
    assert recipe._stiffness(bowl, torch.randn(5, 2, generator=torch.Generator().manual_seed(0))) == pytest.approx(9)
    assert recipe._slope(bowl, torch.tensor([[0.0, 2.0]])) == pytest.approx(18)
    # 20,000 points of a curve of length 12.86 lie so close that a point of it is 0.01 from one of them at most.
    assert recipe._distance(toy("spiral", 50, torch.Generator().manual_seed(3), noise=0.0)).max() < 0.01


def test_likelihood_alone_digs_deeper_and_steeper(tmp_path: Path) -> None:
    """A short training of the recipe's own energy: the ordering of the two landscapes is tested, not their numbers."""
    config = recipe.LikelihoodCanyonRecipe(
        steps=(100, 300), hidden=32, nodes=32, points=1000, probes=100, resolution=12
    )
    run = execute(config, start(config, tmp_path))
    measured = {(row["claim"].split()[0], row["method"]): row["measured"] for row in run.results}
    for first_word in ("depth:", "‖∇F‖", "larger"):
        assert measured[first_word, PLAIN] > 3 * measured[first_word, SMOOTH]
    assert measured["growth", PLAIN] > 2
    (run.folder / "stages" / "measure" / "with-smoothness.safetensors").unlink()
    assert execute(config, start(config, tmp_path, resume=run.folder)).results == run.results
    assert measured["−log", PLAIN] < measured["−log", SMOOTH] < measured["−log", "uniform on the box (baseline)"]


@pytest.mark.parametrize(
    "options", [{"smoothness": 0.0}, {"steps": ()}, {"steps": (20, 10)}, {"points": 9}, {"nodes": 1}, {"hidden": 0}]
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        recipe.LikelihoodCanyonRecipe.from_options(options)
