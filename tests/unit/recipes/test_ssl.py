"""The recipe `ssl`: a run killed within a method resumes, a method that collapses has its sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowland.errors import CollapseError, OptionError
from lowland.recipes.base import execute, load, start
from lowland.reports.run import Run
from lowland.reports.template import Filled

SMALL = {"data": "digits", "methods": ("vicreg",), "maps": (4,), "epochs": 0.4, "looks": 2, "neighbours": 5}


def _results(run: Run) -> list[dict[str, Any]]:
    return json.loads((run.folder / "results.json").read_text())


def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    recipe = load("ssl").from_options(SMALL)
    run = execute(recipe, start(recipe, tmp_path, "smoke"))
    first = _results(run)
    assert {row["method"] for row in first} >= {"VICReg", "raw pixels (baseline)", "random encoder (baseline)"}
    # As if it had been killed in the second half of VICReg: the second look and the measures are not there yet.
    for name in ("vicreg-2", "vicreg"):
        (run.folder / "stages" / "seed-0" / f"{name}.safetensors").unlink()
    assert _results(execute(recipe, start(recipe, tmp_path, "smoke", run.folder))) == first


def test_a_method_that_collapses_is_a_row_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def collapse(*args: Any, **options: Any) -> None:
        raise CollapseError("The embeddings collapsed: all are one point.")

    monkeypatch.setattr("lowland.recipes.joint.common.fit", collapse)
    recipe = load("ssl").from_options(SMALL)
    run = execute(recipe, start(recipe, tmp_path, "smoke"))
    assert [row["measured"] for row in _results(run) if row["method"] == "VICReg"] == [None, None, None]
    assert "all are one point" in (run.folder / "report.html").read_text()


def test_an_unknown_method_has_its_nearest_name() -> None:
    with pytest.raises(OptionError, match="Did you mean 'simclr'"):
        load("ssl").from_options({"methods": ("simcl",)})
    with pytest.raises(OptionError, match="maps must be"):
        load("ssl").from_options({"maps": ()})


def test_published_figures_stand_beside_those_on_cifar_only(smoke: Callable[[str], Run]) -> None:
    done = smoke("ssl")
    assert {row["published"] for row in done.results} == {None}
    options = {**done.config["options"], "data": "cifar10"}
    page = load("ssl").entry.page
    assert page is not None
    filled = Filled(page, done.measured, options, done.shown, done.elements)
    figures = {(row["id"], row["claim"], row["method"]): row["published"] for row in filled.rows if row["published"]}
    assert figures == {
        ("J2", "linear probe, %", "SimCLR"): 90.74,
        ("J7", "linear probe, %", "VICReg"): 90.12,
        ("J2", "nearest neighbours, %", "SimCLR"): 84.8,
    }
