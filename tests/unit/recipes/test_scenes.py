"""The recipe `scenes`: all methods are measured, and options that cannot be are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.scenes.recipe import ScenesRecipe
from lowland.reports.run import Run

METHODS = {"position", "forest", "one", "bands", "three", "superpixels", "field"}


def test_all_methods_are_measured_beside_published_figures(smoke: Callable[[str], Run]) -> None:
    run = smoke("scenes")
    for measure in ("pixels", "classes", "mIoU"):
        assert set(run.measured.methods(measure)) == METHODS
        assert all(0 <= run.measured.mean(name, measure) <= 100 for name in METHODS)
    published = {(row["method"], row["claim"]): row["published"] for row in run.results if row["published"] is not None}
    assert sorted(published.values()) == [45.9, 50.8, 67.9, 71.9]
    assert run.measured.mean("superpixels", "setting") == 50
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"labels", "training"}


@pytest.mark.parametrize("options", [{"trained": 1}, {"pieces": (0,)}, {"smoothness": (-1.0,)}, {"rate": 0.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        ScenesRecipe.from_options(options)
