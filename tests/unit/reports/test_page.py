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
from matplotlib.figure import Figure

from lowland.errors import CheckpointError, OptionError
from lowland.reports.elements import FIELDS
from lowland.reports.page import render
from lowland.reports.run import Run
from lowland.words import verbatim


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
    # An address that begins with # is a place on the page itself.
    assert all(address.startswith(("data:", "#")) for address in parser.found)
    places = set(re.findall(r'id="([^"]+)"', html))
    assert {address[1:] for address in parser.found if address.startswith("#")} <= places
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
    assert "<strong>0.250 ± 0.010</strong> <small>(3 runs)</small>" in html
    assert "lowland run everything --preset smoke --seed 3 --sizes 1 2" in re.sub("</?span>", "", html)
    assert re.search(r"background:rgb\(2\d,6\d,11\d\);color:#fff\">0.990 ± 0.001", html)
    assert 'background:rgb(255,255,255);color:#14213d">0.500 ± 0.100' in html


def test_the_finding_and_a_picture_come_first_and_claims_are_folded(tmp_path: Path) -> None:
    with Run.create(tmp_path, "r", {}) as run:
        run.result(id="E4", claim="error", method="a", measured=0.5)
        run.finding("It is **half**.")
        run.section("Words")
        run.text("Before the picture")
        run.figure("line", Figure(figsize=(3, 2)), "A line")
        run.section("Empty but for a film")
    html = (run.folder / "report.html").read_text().split("<main>")[1]
    parts = ("It is <strong>half</strong>.", "A line", "<details", "error", "</details>", "Before the picture")
    places = [html.index(part) for part in parts]
    assert places == sorted(places)
    assert html.count("<img") == 1
    assert "Empty but for a film" not in html


def test_smoke_has_a_banner_and_no_verdict(tmp_path: Path) -> None:
    pages = {}
    for preset in ("smoke", "cpu"):
        with Run.create(tmp_path, "r", {}, preset) as run:
            run.finding("It pays.")
            run.table(["method", "verdict"], [["a", run.word("more")]])
        pages[preset] = (run.folder / "report.html").read_text()
    for words in ("It pays.", "more</td>"):
        assert words in pages["cpu"]
        assert words not in pages["smoke"]
    assert ("figures mean nothing" in pages["smoke"], "figures mean nothing" in pages["cpu"]) == (True, False)


def test_a_badge_is_explained_and_leads_to_the_list(everything: Path) -> None:
    html = (everything / "report.html").read_text()
    assert '<a class="row" href="#system-E1" title="Energy-based model: A function F(x, y)' in html
    assert '<dt id="system-S1">' in html


def test_a_heading_stands_where_its_column_does(tmp_path: Path) -> None:
    with Run.create(tmp_path, "r", {}) as run:
        run.table(["", "chosen", "error", "note"], [["a", "rate 0.1", 0.25, None], ["b", "rate 1", 0.125, None]])
    html = (run.folder / "report.html").read_text()
    assert '<th></th><th>chosen</th><th class="n">error</th><th>note</th>' in html
    assert '<td>a</td><td>rate 0.1</td><td class="n">0.250</td><td>–</td>' in html


@pytest.mark.lost_pictures
def test_a_picture_that_fails_costs_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = Figure(figsize=(3, 2))
    broken.suptitle(r"$\nonsense$")

    def fails(page: Run) -> None:
        page.section("Never seen whole")
        raise ZeroDivisionError("*by* <zero>")

    with Run.create(tmp_path, "r", {}) as run:
        run.result(id="E4", claim="error", method="a", measured=0.5)
        run.figure("broken", broken)
        run.figure("drawn late", lambda: 1 / 0)
        run.grid("two", [(broken, ""), (Figure(figsize=(3, 2)), "whole")])
        run.video(lambda: tmp_path / str(1 / 0))
        run.part(fails)
        run.text("The end")
    html = (run.folder / "report.html").read_text()
    assert json.loads((run.folder / "status.json").read_text())["status"] == "finished"
    assert html.count("could not be") == len(caplog.records) == 5
    assert html.count("<img") == 1
    assert "*by* &lt;zero&gt;" in html
    assert "The end" in html


@pytest.mark.lost_pictures
def test_results_are_stored_before_a_page_is_begun(tmp_path: Path) -> None:
    seen: list[Any] = []

    def killed(page: Run) -> None:
        seen.extend(json.loads((page.folder / "results.json").read_text()))
        raise KeyboardInterrupt

    run = Run.create(tmp_path, "r", {})
    run.result(id="E4", claim="error", method="a", measured=0.5)
    with pytest.raises(KeyboardInterrupt):
        run.part(killed)
    assert [row["measured"] for row in seen] == [0.5]


@pytest.mark.lost_pictures
def test_what_must_not_be_lost_comes_before_the_page(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "r", {})
    run.part(lambda page: page.result(id="E4", claim="error", method="a", measured=0.5))
    run.part(lambda page: page.stage("late", lambda: 1))
    said = " ".join(element["markdown"] for element in run.elements)
    assert said.count("must come before the page") == 2
    assert run.results == []


def test_two_pictures_of_one_name_are_both_kept(tmp_path: Path) -> None:
    with Run.create(tmp_path, "r", {}) as run:
        for width in (2, 4):
            run.figure("../a b", Figure(figsize=(width, 2)))
    assert sorted(path.name for path in (run.folder / "figures").iterdir()) == ["a-b-2.png", "a-b.png"]
    assert (run.folder / "report.html").read_text().count("<img") == 2


def test_names_that_are_not_utf_8_reach_the_page(tmp_path: Path) -> None:
    with Run.create(tmp_path, "r", {}) as run:
        run.text(verbatim("caf\udce9_x_"))
    assert "caf�_x_" in (run.folder / "report.html").read_text()


class Shown(HTMLParser):
    """The words of a page by the element that they stand in, and all elements."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: dict[str, str] = {}
        self.elements: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.elements.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in {*self.open}:
            self.words[tag] = self.words.get(tag, "") + data


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "</td></table><b>", "*a* _b_ `c`", "# a", "[a](javascript:b)", "a|b", "&amp;"]
)
def test_words_of_users_stand_on_the_page_letter_by_letter(name: str, tmp_path: Path) -> None:
    with Run.create(tmp_path, "r", {"folder": name}) as run:
        run.describe("A page", "With words of others.")
        run.stand_in(name)
        run.result(id="E4", claim=name, method=name, measured=1.0, data=name)
        run.text(f"Before {verbatim(name)} after")
        run.table(["class"], [[verbatim(name)]], verbatim(name))
        run.figure(name, Figure(figsize=(2, 2)), verbatim(name))
    shown = Shown()
    shown.feed((run.folder / "report.html").read_text())
    assert f"Before {name} after" in shown.words["p"]
    assert name in shown.words["figcaption"]
    assert shown.words["td"].count(name) == 4
    assert json.dumps(name, ensure_ascii=False) in shown.words["pre"]
    assert not {"script", "b", "em"} & {*shown.elements}


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
