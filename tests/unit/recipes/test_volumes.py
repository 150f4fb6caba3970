"""The recipe `volumes`: all methods are measured, the published figure is named as another data set's."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.volumes.recipe import VolumesRecipe
from lowland.reports.run import Run

METHODS = {"majority", "height", "linear", "dense", "sparse"}


def test_all_methods_are_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("volumes")
    for measure in ("mIoU", "voxels", "objects"):
        assert set(run.measured.methods(measure)) == METHODS
        assert all(0 <= run.measured.mean(name, measure) <= 100 for name in METHODS)
    assert [row["published"] for row in run.results if row["published"] is not None] == [86.0]
    page = json.loads((run.folder / "page.json").read_text())
    assert page["stand_ins"] == [
        "Scenes of solids stand in for parts of ShapeNet: the published figure is of other data."
    ]
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"scenes", "loss", "confusion"}


@pytest.mark.parametrize("options", [{"steps": 0}, {"side": 7}, {"rate": 0.0}, {"data": "shapenet"}, {"maps": ()}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        VolumesRecipe.from_options(options)
