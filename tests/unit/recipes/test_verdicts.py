"""What pages say of results: the right direction, nothing on too little evidence, nothing lost with a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lowland import cli
from lowland.evaluation.verdict import CLOSE
from lowland.recipes import drsae_page, ssl_page, strategies_page
from lowland.recipes.baselines import RANDOM
from lowland.recipes.predictive import against_random
from lowland.recipes.strategies import Points


def test_a_lower_error_is_called_lower() -> None:
    ours, theirs = [0.10, 0.11, 0.10, 0.12, 0.11], [0.20, 0.22, 0.21, 0.20, 0.21]
    found = [{drsae_page.DRSAE: {"test": a}, "other": {"test": b}} for a, b in zip(ours, theirs, strict=True)]
    assert drsae_page.paired(found, "other").word == "lower"
    assert drsae_page.paired(found[:1], "other").word == CLOSE


def test_a_probe_is_judged_by_its_test_images() -> None:
    said = against_random({RANDOM: [0.80], "clearly": [0.90], "hardly": [0.82], "worse": [0.60]}, 300)
    for words in ("clearly +10.0 (pays)", f"hardly +2.0 ({CLOSE})", "worse -20.0 (does harm)"):
        assert words in said
    found = [{RANDOM: {"probe": 0.80}, "SimCLR": {"probe": 0.847}, "VICReg": {"probe": 0.90}, "broken": {"failed": ""}}]
    told = ssl_page._finding(found, ["SimCLR", "VICReg", "broken"], ["SimCLR", "VICReg"], 300)
    assert told.startswith("Of 3 methods 1 are above the random encoder")
    assert f"above: VICReg (+10.0); {CLOSE}: SimCLR (+4.7)" in told


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

    monkeypatch.setattr("lowland.recipes.ellipse.animate", fails)
    assert cli.main(["run", "ellipse", "--preset", "smoke", "--runs", str(tmp_path)]) == 0
    folder = tmp_path / "ellipse" / "latest"
    assert len(json.loads((folder / "results.json").read_text())) == 3
    assert (folder / "checkpoints" / "ellipse").is_dir()
    html = (folder / "report.html").read_text()
    assert "This part of the page could not be made" in html
    assert "RuntimeError: no pen" in html
    # The other part of the page is there.
    assert "Every solver on the same problem" in html
