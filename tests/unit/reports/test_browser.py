"""The page opens from the disk in a real browser: every picture drawn, no error, nothing asked of the network."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lowland.recipes.catalogue import catalogue
from lowland.reports.run import Run

_spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
assert _spec is not None
assert _spec.loader is not None
browser = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(browser)


def _check(chromium: str, folder: Path, work: Path, pictures: int) -> None:
    # Alone in a folder, the page cannot lean on the files beside it.
    page = work / "report.html"
    shutil.copy(folder / "report.html", page)
    with browser.opened(chromium, page, work / "profile") as tab:
        widths = tab.evaluate("[...document.images].map(i => i.complete ? i.naturalWidth : -1)")
        assert len(widths) == pictures
        assert min(widths) > 0
        overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, "the page is wider than the window"
        problems = [entry for entry in tab.named("Log.entryAdded") if entry["entry"]["level"] in ("error", "warning")]
        problems += tab.named("Runtime.exceptionThrown")
        problems += [said for said in tab.named("Runtime.consoleAPICalled") if said["type"] in ("error", "warning")]
        assert problems == []
        asked = {request["request"]["url"].split(":")[0] for request in tab.named("Network.requestWillBeSent")}
        assert asked <= {"file", "data", "blob"}
        files = [
            r["request"]["url"] for r in tab.named("Network.requestWillBeSent") if r["request"]["url"][:4] == "file"
        ]
        assert files == [page.resolve().as_uri()]


def test_a_page_with_one_of_everything(chromium: str, everything: Path, tmp_path: Path) -> None:
    _check(chromium, everything, tmp_path, pictures=8)


@pytest.mark.parametrize("recipe", list(catalogue()))
def test_the_page_of_a_recipe(chromium: str, recipe: str, smoke: Callable[[str], Run], tmp_path: Path) -> None:
    folder = smoke(recipe).folder
    pictures = [path for path in (folder / "figures").iterdir() if path.suffix not in (".html", ".mp4")]
    assert pictures
    _check(chromium, folder, tmp_path, len(pictures))
