"""The recipe `tumour`: all methods are measured, the cascade has the published weights, and bad options are refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.tumour.recipe import TumourRecipe
from lowland.reports.run import Run

NETWORKS = {"local", "two", "cascade", "volume"}


def test_all_methods_are_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("tumour")
    for measure in ("complete", "core", "enhancing"):
        assert set(run.measured.methods(measure)) == NETWORKS | {"position", "threshold"}
        assert all(0 <= run.measured.mean(name, measure) <= 1 for name in run.measured.methods(measure))
    assert set(run.measured.methods("near")) == NETWORKS
    published = {(row["method"], row["claim"]): row["published"] for row in run.results if row["published"] is not None}
    assert list(published.values()) == [802_368]
    assert run.measured.mean("cascade", "weights") == 802_368
    page = json.loads((run.folder / "page.json").read_text())
    assert page["stand_ins"] == ["No patient is in these images: lesions are planted in ellipsoids, by a rule of ours."]
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"labels", "training"}


@pytest.mark.parametrize("options", [{"steps": 0}, {"tested": 0}, {"rate": 0.0}, {"data": "patients"}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        TumourRecipe.from_options(options)
