"""The recipe `stereo` on solids, which need no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lowland.errors import DataError, OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.vision.stereo.recipe import StereoRecipe
from lowland.reports.run import Run

METHODS = {"most frequent", "linear", "neighbours", "components + neighbours", "components + SVM", "ConvNet"}


def test_every_classifier_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("stereo")
    assert set(run.measured.methods("error")) == METHODS
    for name in METHODS:
        assert 0 <= run.measured.mean(name, "error") <= 100
    published = {row["method"]: row["published"] for row in run.results if row["published"] is not None}
    assert list(published.values()) == [30.2, 18.4, 16.6, 13.3, 5.8]
    drawn = {path.stem for path in (run.folder / "figures").glob("*.png")}
    assert drawn == {"objects", "maps", "confusion", "wrong"}


def test_a_folder_without_small_norb_is_named(tmp_path: Path) -> None:
    config = StereoRecipe.from_options({"folder": str(tmp_path)})
    with pytest.raises(DataError, match="lacks smallnorb-"):
        execute(config, start(config, tmp_path / "runs", "smoke"))


@pytest.mark.parametrize("options", [{"epochs": (2, 1)}, {"data": "norb"}, {"batch": 0}, {"rate": 0.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        StereoRecipe.from_options(options)
