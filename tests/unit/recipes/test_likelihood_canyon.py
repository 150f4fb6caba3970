"""The canyon deepens without smoothness; what is measured of it agrees with energies whose answer is known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lowland.data import toy
from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.foundations.likelihood_canyon.recipe import (
    LENGTH,
    PLAIN,
    SMOOTH,
    LikelihoodCanyonRecipe,
    distance,
    steepest,
)


def test_the_length_is_that_of_the_spiral() -> None:
    """The curve by 100,001 points of its formula: chords fall short of arcs by less than 1e-6 here."""
    angle = torch.linspace(0, 4 * math.pi, 100_001, dtype=torch.float64)
    curve = angle[:, None] / (2 * math.pi) * torch.stack([angle.cos(), angle.sin()], dim=1)
    assert (curve[1:] - curve[:-1]).norm(dim=1).sum().item() == pytest.approx(LENGTH, abs=5e-3)


def test_the_steepest_slope_balances_the_flux() -> None:
    """Half of A / (2 λ ℓ) on each side, for A = 5.2² and λ = 0.1."""
    assert steepest(0.1) == pytest.approx(5.2**2 / (2 * 0.1 * LENGTH) / 2)


def test_points_of_the_spiral_are_on_it() -> None:
    """20,000 points of a curve of length 12.86 lie so close that a point of it is 0.01 from one of them at most."""
    assert distance(toy("spiral", 50, torch.Generator().manual_seed(3), noise=0.0)).max() < 0.01


def test_likelihood_alone_digs_deeper_and_steeper(tmp_path: Path) -> None:
    """A short training of the recipe's own energy: the ordering of the two landscapes is tested, not their numbers."""
    config = LikelihoodCanyonRecipe(steps=(100, 300), hidden=32, nodes=32, points=1000, probes=100, resolution=12)
    run = execute(config, start(config, tmp_path))
    measured = {(row["claim"].split()[0], row["method"]): row["measured"] for row in run.results}
    for first_word in ("depth:", "‖∇F‖", "larger"):
        assert measured[first_word, PLAIN] > 3 * measured[first_word, SMOOTH]
    assert measured["growth", PLAIN] > 2
    assert measured["−log", PLAIN] < measured["−log", SMOOTH] < measured["−log", "uniform on the box (baseline)"]


@pytest.mark.parametrize("options", [{"steps": ()}, {"steps": (20, 10)}, {"steps": (10, 10)}])
def test_steps_rise(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="rising"):
        LikelihoodCanyonRecipe.from_options(options)
