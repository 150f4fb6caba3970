"""The canyon deepens without smoothness; what is measured of it agrees with energies whose answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.foundations.likelihood_canyon.recipe import (
    PLAIN,
    SMOOTH,
    LikelihoodCanyonRecipe,
)


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
