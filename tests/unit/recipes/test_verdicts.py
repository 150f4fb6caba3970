"""What pages say of results: the right direction, nothing on too little evidence, nothing lost with a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lowland import cli


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
