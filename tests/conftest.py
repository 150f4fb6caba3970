"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from lowland.checksums import read_json
from lowland.recipes.base import execute, load, start
from lowland.reports.elements import Elements
from lowland.reports.files import read_results
from lowland.reports.results import Results
from lowland.reports.run import Run


@pytest.fixture
def generator() -> torch.Generator:
    """A generator of its own for each test, always at the same seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def _nothing_is_lost(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that cannot be drawn fails a test, unless the test is about that; a user's run would go on."""

    def lost(_: Elements, what: str, error: Exception, name: str = "") -> None:
        raise AssertionError(what) from error

    if request.node.get_closest_marker("lost_pictures") is None:
        monkeypatch.setattr(Elements, "lost", lost)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(params=["compiled", "torch"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With numba, and as if it were not installed."""
    found = importlib.util.find_spec
    assert found("numba") is not None, "the extra `dev` brings numba, so that the kernels are tested"
    if request.param == "torch":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else found(name))
    return request.param


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a headless browser. Without one the test is skipped, except in CI, which installs it."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium: see .ci/run")
        pytest.skip("needs Chromium")
    return path


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A finished run of a recipe with its preset `smoke`, by name, once for all tests and processes.

    Tests read it, and change only copies of it.
    """
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
