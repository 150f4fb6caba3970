"""Claims of a page whose system depends on the method, and tables that keep their name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.reports.elements import Elements
from lowland.reports.results import Results
from lowland.reports.template import Filled

PAGE = """+++
title = "A page"
shows = "Two methods of two systems."
[[claims]]
system = "{{ family.get(method, 'E1') }}"
claim = "error"
measure = "error"
+++
Nothing else.
"""


def test_the_system_of_a_claim_may_depend_on_the_method(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    results = Results({"PCA": {"error": [1.0]}, "nothing": {"error": [2.0]}})
    filled = Filled(tmp_path / "page.md", results, {}, {"family": {"PCA": "A1"}})
    assert [(row["id"], row["method"]) for row in filled.rows] == [("A1", "PCA"), ("E1", "nothing")]


def test_a_system_that_is_not_listed_is_an_error_when_it_is_filled_in(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    with pytest.raises(OptionError, match="names the system 'A99'"):
        Filled(tmp_path / "page.md", Results({"PCA": {"error": [1.0]}}), {}, {"family": {"PCA": "A99"}})


def test_a_coloured_table_keeps_its_name(tmp_path: Path) -> None:
    page = Elements(tmp_path)
    page.table(("method", "share"), [["a", 0.5]], heat={"share": (0, 1)}, name="shares")
    assert [element["name"] for element in page.elements] == ["shares"]
    with pytest.raises(OptionError, match="no column 'shares'"):
        page.table(("method", "share"), [["a", 0.5]], heat={"shares": (0, 1)})
