"""What holds for every recipe: it resumes to the same numbers, refuses bad options, and its page fits its run."""

from __future__ import annotations

import dataclasses
import json
import shutil
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import Bound, Recipe, execute, load, start
from lowland.recipes.catalogue import catalogue
from lowland.reports.head import Claim
from lowland.reports.run import Run
from lowland.reports.template import Filled

ALL = list(catalogue())


def claims_of_machine(name: str) -> list[Claim]:
    """Claims on times, which no two runs share."""
    return [claim for claim in catalogue()[name].head.claims if claim.tolerance == "machine"]


@pytest.mark.parametrize("name", ALL)
def test_a_run_without_its_last_stage_resumes_to_the_same_numbers(
    name: str, smoke: Callable[[str], Run], tmp_path: Path
) -> None:
    whole = smoke(name)
    folder = tmp_path / name / "resumed"
    shutil.copytree(whole.folder, folder, symlinks=True)
    stages = sorted((folder / "stages").rglob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    if stages:
        stages[-1].unlink()
    (folder / "results.json").unlink()
    config = load(name).from_options(whole.config["options"])
    again = execute(config, start(config, tmp_path, "smoke", folder))
    times = {claim.claim for claim in claims_of_machine(name)}
    kept = [[row for row in run.results if row["claim"] not in times] for run in (whole, again)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("name", ALL)
def test_the_page_can_draw_verdicts(name: str, smoke: Callable[[str], Run]) -> None:
    """A smoke run draws none, so that what stands in the page for real runs is tried here."""
    run = smoke(name)
    page = catalogue()[name].page
    values = json.loads((run.folder / "values.json").read_text())
    filled = Filled(page, run.measured, run.config["options"], run.shown, values["elements"], conclusive=True)
    assert filled.rows == run.results
    text = json.dumps(filled.elements) + filled.finding
    assert "{{" not in text
    assert "None" not in filled.finding


def limits(cls: type[Recipe]) -> list[tuple[str, Bound]]:
    """Every option that has bounds."""
    found = []
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        while typing.get_origin(hint) is tuple:
            hint = typing.get_args(hint)[0]
        if typing.get_origin(hint) is Annotated:
            found += [(name, part) for part in typing.get_args(hint)[1:] if isinstance(part, Bound)]
    return found


@pytest.mark.parametrize("name", ALL)
def test_options_out_of_their_bounds_are_refused(name: str) -> None:
    cls = load(name)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    for option, bound in limits(cls):
        wrong: list[Any] = [float("nan")]
        wrong += [] if bound.least is None else [bound.least - 1]
        wrong += [] if bound.above is None else [bound.above]
        wrong += [] if bound.below is None else [bound.below]
        wrong += [] if bound.most is None else [bound.most + 1]
        many = isinstance(defaults[option], tuple)
        for value in wrong:
            with pytest.raises(OptionError, match=option):
                cls.from_options({option: [value] * max(1, len(defaults[option])) if many else value})
