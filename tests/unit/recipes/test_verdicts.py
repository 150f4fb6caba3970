"""What pages say of results: the right direction, nothing on too little evidence, nothing lost with a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lowland import cli
from lowland.evaluation.verdict import CLOSE
from lowland.recipes import drive_page, strategies_page
from lowland.recipes.drive_methods import MPUR
from lowland.recipes.strategies import Points
from lowland.reports.run import Run


def outcome(*arrived: bool) -> list[dict[str, Any]]:
    rows = [{"success": one, "reason": "reached" if one else "collision", "recording": 0} for one in arrived]
    return [{"test": rows}]


def test_the_caption_of_a_film_says_what_happens_in_it() -> None:
    names = ["human", MPUR.name]
    never = drive_page._told({"human": outcome(True, True), MPUR.name: outcome(False, False)}, names, 1)
    assert f"{MPUR.name} arrives in none of 2 scenes; in this one 1 drivers do not" in never
    assert f"human: arrives; {MPUR.name}: collides" in never
    once = drive_page._told({"human": outcome(False, True), MPUR.name: outcome(True, False)}, names, 0)
    assert f"a scene in which {MPUR.name} arrives and as many of the others as possible, 1 of them, do not" in once


def test_drivers_are_told_apart_by_enough_episodes_only(tmp_path: Path) -> None:
    for count, word in ((5, "too close to call against"), (6, "less often than")):
        run = Run.create(tmp_path, "drive", {})
        found = {"human": outcome(*[True] * count), MPUR.name: outcome(*[False] * count)}
        drive_page._find(run, found)
        assert run.found == f"{MPUR.name} arrives in 0 % of the test episodes: {word} human (100 %)."


@pytest.mark.parametrize(("noise", "patches", "word"), [
    (0.99, 0.95, "yes"), (0.955, 0.95, CLOSE), (0.99, 0.79, CLOSE), (0.90, 0.99, "no"), (0.99, 0.5, "no"),
])  # fmt: skip
def test_a_threshold_is_reached_by_the_whole_interval(noise: float, patches: float, word: str) -> None:
    points = Points(
        "digits",
        torch.zeros(1, 2),
        torch.zeros(300, 2),
        dict.fromkeys(strategies_page.KINDS, torch.zeros(300, 2)),
        (2,),
    )
    assert strategies_page._reached({"pixel_noise": [noise], "shuffled_patches": [patches]}, points) == word


@pytest.mark.lost_pictures
def test_a_picture_that_fails_does_not_cost_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object, **options: object) -> None:
        raise RuntimeError("no pen")

    monkeypatch.setattr("lowland.recipes.foundations.ellipse.recipe.animate", fails)
    assert cli.main(["run", "ellipse", "--preset", "smoke", "--runs", str(tmp_path)]) == 0
    folder = tmp_path / "ellipse" / "latest"
    assert len(json.loads((folder / "results.json").read_text())) == 3
    assert (folder / "checkpoints" / "ellipse").is_dir()
    html = (folder / "report.html").read_text()
    assert "This part of the page could not be made" in html
    assert "RuntimeError: no pen" in html
    # The other part of the page is there.
    assert "Every solver on the same problem" in html
