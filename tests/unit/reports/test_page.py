"""What stands on the page, and in the files beside it."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lowland.errors import CheckpointError, OptionError
from lowland.reports.elements import FIELDS
from lowland.reports.page import render
from lowland.reports.run import Run


class Addresses(HTMLParser):
    """All that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "poster", "data")]
        self.found += [
            url for name, value in attributes if name == "style" for url in re.findall(r"url\(", value or "")
        ]


def test_nothing_is_fetched(everything: Path) -> None:
    html = (everything / "report.html").read_text()
    parser = Addresses()
    parser.feed(html)
    assert parser.found
    assert all(address.startswith("data:") for address in parser.found)
    style = html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_text_is_shown_and_not_obeyed(everything: Path) -> None:
    html = (everything / "report.html").read_text()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "A page &lt;with&gt; awkward &amp; signs." in html
    assert "<strong>bold</strong>" in html
    assert "<td>2</td>" in html


def test_the_first_line_says_that_data_stand_in(everything: Path) -> None:
    body = (everything / "report.html").read_text().split("<body>")[1]
    assert body.strip().startswith('<p class="notice"><strong>Stand-in data.</strong> Digits stand in for faces.')


def test_claims_command_and_colours(everything: Path) -> None:
    html = (everything / "report.html").read_text()
    assert "<strong>0.25</strong> ± 0.01 <small>(3 seeds)</small>" in html
    assert "lowland run everything --preset smoke --seed 3 --sizes 1 2" in html
    assert re.search(r"background:rgb\(2\d,6\d,11\d\);color:#fff\">0.99 ± 0.001", html)
    assert 'background:rgb(255,255,255);color:#14213d">0.5 ± 0.1' in html


def test_plotly_is_inside_only_where_it_is_used(everything: Path, tmp_path: Path) -> None:
    assert (everything / "report.html").stat().st_size > 2_000_000
    with Run.create(tmp_path, "plain", {}) as run:
        run.text("Words")
    assert (run.folder / "report.html").stat().st_size < 50_000


def test_the_files_beside_the_page(everything: Path) -> None:
    results = json.loads((everything / "results.json").read_text())
    assert [tuple(row) for row in results] == [FIELDS, FIELDS]
    assert results[1]["measured"] is None
    with (everything / "metrics.csv").open() as file:
        assert list(csv.reader(file)) == [["stage", "step", "metric", "value"], ["work", "1", "loss", "2.0"]]
    environment = json.loads((everything / "environment.json").read_text())
    assert environment["packages"]["torch"] == str(torch.__version__)


def test_a_stage_gives_what_it_stored(tmp_path: Path) -> None:
    value: dict[str, Any] = {"t": torch.rand(2, 3), "n": 0.1 + 0.2, "l": [1, None, "a"], "nan": float("nan")}
    calls: list[int] = []

    def work() -> dict[str, Any]:
        calls.append(1)
        return value

    first = Run.create(tmp_path, "r", {})
    once = first.stage("deep/name", work)
    again = Run.open(first.folder).stage("deep/name", work)
    assert len(calls) == 1
    for found in (once, again):
        assert torch.equal(found["t"], value["t"])
        assert found["n"] == value["n"]
        assert found["l"] == value["l"]
        assert np.isnan(found["nan"])


def test_a_stage_keeps_the_weights_of_modules(tmp_path: Path) -> None:
    def build() -> torch.nn.Linear:
        return torch.nn.Linear(2, 1)

    def train(module: torch.nn.Linear) -> None:
        torch.nn.init.constant_(module.weight, 7.0)

    first, module = Run.create(tmp_path, "r", {}), build()
    first.stage("train", lambda: train(module), modules=[module])
    fresh = build()
    second = Run.open(first.folder)
    second.stage("train", lambda: train(fresh), modules=[fresh])
    assert torch.equal(fresh.weight, module.weight)
    assert torch.equal(fresh.bias, module.bias)
    with pytest.raises(CheckpointError, match="does not fit Linear"):
        Run.open(first.folder).stage("train", lambda: None, modules=[torch.nn.Linear(3, 1)])
    with pytest.raises(CheckpointError, match="stored 1 modules, but 2"):
        Run.open(first.folder).stage("train", lambda: None, modules=[build(), build()])


def test_an_unfinished_run_has_a_page_that_says_so(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "r", {})

    def work() -> None:
        with run:
            run.text("So far so good")
            raise OptionError("no more")

    with pytest.raises(OptionError):
        work()
    html = render(run.folder).read_text()
    assert "has not finished (failed)" in html
    assert "So far so good" in html
    assert "no more" in (run.folder / "error.log").read_text()


def test_runs_in_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    runs = [Run.create(tmp_path, "r", {}) for _ in range(3)]
    assert len({run.folder for run in runs}) == 3
    assert (tmp_path / "r" / "latest").resolve() == runs[-1].folder.resolve()
    assert not list((tmp_path / "r").glob(".latest*"))


def test_a_film_is_inside_the_page(tmp_path: Path) -> None:
    with Run.create(tmp_path, "r", {}) as run:
        (run.folder / "film.mp4").write_bytes(b"film")
        run.video(run.folder / "film.mp4", "A film")
    assert 'src="data:video/mp4;base64,ZmlsbQ=="' in (run.folder / "report.html").read_text()
