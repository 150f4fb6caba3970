"""The recipe `longrange`: all methods are measured, and options that cannot be are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.longrange.recipe import (
    BLANK,
    COLOUR,
    NETWORKS,
    NOTHING,
    OFFLINE,
    PLAIN,
    TOLD,
    LongRangeRecipe,
)
from lowland.reports.run import Run

METHODS = {*NETWORKS, NOTHING, COLOUR, OFFLINE, PLAIN, BLANK, TOLD}


def test_all_methods_are_measured_near_and_far(smoke: Callable[[str], Run]) -> None:
    run = smoke("longrange")
    for measure in ("far", "wrong", "near", "to 20.0 m", "to 60.0 m"):
        assert set(run.measured.methods(measure)) == METHODS
        assert all(0 <= run.measured.mean(name, measure) <= 100 for name in METHODS)
    assert run.measured.mean(NOTHING, "far") == 50.0
    assert {path.stem for path in (run.folder / "figures").iterdir()} == {"drive", "distance", "way"}
    assert (run.folder / "figures" / "drive.mp4").is_file()
    assert 50 <= run.shown["near"] <= 100


@pytest.mark.parametrize(
    "options", [{"edges": (12.0,)}, {"edges": (3.0, 9.0)}, {"edges": (20.0, 12.0)}, {"edges": (12.0, 101.0)},
                {"frames": 1}, {"rates": (0.0,)}, {"courses": 0}, {"online": 0}],
)  # fmt: skip
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        LongRangeRecipe.from_options(options)
