"""Names of methods that a claim makes for all, and numbers as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland.reports.results import Results
from lowland.reports.template import Filled

PAGE = """+++
title = "Names"
shows = "One claim."
finding = "{{ text }}"
[[claims]]
system = "S4"
claim = "error"
measure = "error"
names = { best = "the best", "*" = "{{ method }} of {{ mean(method, 'size') | fixed(0) }}" }
+++
"""


def filled(folder: Path, finding: str, results: Results | None = None) -> Filled:
    (folder / "page.md").write_text(PAGE.replace("{{ text }}", finding))
    one = Results({"best": {"error": [1.0], "size": [7.0]}, "other": {"error": [2.0], "size": [8.0]}})
    return Filled(folder / "page.md", results or one, {})


def test_a_claim_names_all_other_methods_by_a_template(tmp_path: Path) -> None:
    assert [row["method"] for row in filled(tmp_path, "").rows] == ["the best", "other of 8"]


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        ("{{ [3.2, 5, 4] | span }}", "3 to 5"),
        ("{{ [3.2, 3.4] | span }}", "3"),
        ("{{ [3.2, 3.4] | span(1) }}", "3.2 to 3.4"),
        ("{{ [-0.5, 0.5] | span(1) }}", "−0.5 to 0.5"),
        ("{{ 0.26 | signed(1) }} {{ -0.26 | signed }}", "+0.3 −0.26"),
    ],
)
def test_numbers_as_text(tmp_path: Path, finding: str, text: str) -> None:
    assert filled(tmp_path, finding).finding == text


def test_an_iteration_that_is_never_reached(tmp_path: Path) -> None:
    results = Results({"best": {"error": [float("inf"), 3.0], "size": [7.0]}})
    assert filled(tmp_path, "{{ each('best', 'error') | span }}", results).finding == "3 to ∞"


def test_the_title_of_a_page_may_depend_on_its_run(tmp_path: Path) -> None:
    assert filled(tmp_path, "").title == "Names"
    heading = "heading = \"{{ mean('best', 'size') | fixed(0) }} names\"\nfinding"
    (tmp_path / "page.md").write_text(PAGE.replace("finding", heading, 1).replace("{{ text }}", ""))
    results = Results({"best": {"error": [1.0], "size": [7.0]}})
    assert Filled(tmp_path / "page.md", results, {}).title == "7 names"
