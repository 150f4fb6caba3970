"""One smoke run of each recipe for all tests, also across the processes of pytest-xdist."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from lowland.checksums import read_json
from lowland.recipes.base import execute, load, start
from lowland.reports.files import read_results
from lowland.reports.results import Results
from lowland.reports.run import Run


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A finished run of a recipe with its preset `smoke`, by name. Tests read it, and change only copies of it."""
    base = tmp_path_factory.getbasetemp()
    runs = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smoke"
    runs.mkdir(exist_ok=True)

    def of(name: str) -> Run:
        with FileLock(runs / f"{name}.lock"):
            if not (runs / name / "done").exists():
                config = load(name).preset("smoke")
                execute(config, start(config, runs, "smoke"))
                (runs / name / "done").touch()
        return finished(runs / name / "latest")

    return of


def finished(folder: Path) -> Run:
    """A run as it is on the disk."""
    run, values = Run.open(folder), read_json(folder / "values.json")
    run.results, run.measured, run.shown = read_results(folder), Results(values["results"]), values["shown"]
    run.elements = read_json(folder / "page.json")["elements"]
    run.found = read_json(folder / "page.json")["finding"]
    return run
