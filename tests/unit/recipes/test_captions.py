"""The recipe `captions`: all methods are measured, and options that cannot be are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.captions.recipe import ALONE, NEAREST, NOTHING, OWN, PLACES, TEMPLATE, CaptionsRecipe
from lowland.reports.run import Run

METHODS = {NOTHING, NEAREST, TEMPLATE, ALONE, OWN, PLACES}


def test_all_methods_are_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("captions")
    for measure in ("bleu", "true", "grammatical", "phrases", "named"):
        for part in ("", "_new"):
            assert set(run.measured.methods(measure + part)) == METHODS
            assert all(0 <= run.measured.mean(name, measure + part) <= 100 for name in METHODS)
    for name in (NOTHING, NEAREST, TEMPLATE):
        assert run.measured.mean(name, "grammatical") == 100
    assert run.measured.mean(PLACES, "weight") == 1
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"test", "new"}


@pytest.mark.parametrize("options", [{"trained": 0}, {"weights": (0.0,)}, {"order": 0}, {"rate": 0.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        CaptionsRecipe.from_options(options)
