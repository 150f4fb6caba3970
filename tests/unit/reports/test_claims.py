"""Claims whose methods belong to several systems, and the decimals of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lowland.errors import OptionError
from lowland.reports.head import parse
from lowland.reports.results import Results
from lowland.reports.template import Filled

PAGE = """+++
title = "Two systems"
shows = "One claim."
systems = ["J2", "J7"]
methods = { SimCLR = "SimCLR", BYOL = "BYOL", other = "other" }
[[claims]]
system = { SimCLR = "J2", "*" = "J7" }
claim = "linear probe, %"
measure = "probe"
published = { SimCLR = "simclr/pct-linear-probe", BYOL = "byol" }
[tables.probes]
columns = { probe = "probe" }
decimals = { probe = 1 }
spread = true
+++
{{ table("probes") }}
"""


def test_each_row_has_the_system_and_the_published_figure_of_its_method(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    results = Results({"SimCLR": {"probe": [81.26, 81.34]}, "BYOL": {"probe": [80.0]}, "other": {"probe": [None]}})
    filled = Filled(tmp_path / "page.md", results, {})
    assert [(row["id"], row["method"], row["published"]) for row in filled.rows] == [
        ("J2", "SimCLR", 90.74), ("J7", "BYOL", 92.58), ("J7", "other", None),
    ]  # fmt: skip
    (made,) = filled.elements
    assert made["rows"] == [["SimCLR", [81.3, 0.1]], ["BYOL", 80.0], ["other", None]]


def _head(**claim: Any) -> None:
    values = {"claim": "probe", "measure": "probe", "system": {"ours": "J2", "*": "J7"}, **claim}
    parse({"title": "", "shows": "", "methods": {"ours": "ours"}, "claims": [values]}, "page.md")


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"system": {"ours": "J2"}}, r"no system \"\*\""),
        ({"system": {"ours": "J2", "*": "J77"}}, "names the system 'J77'"),
        ({"system": {"hours": "J2", "*": "J7"}}, "Did you mean 'ours'"),
        ({"published": {"ours": "byol"}}, "The system J2 has no published figure 'byol'"),
    ],
)
def test_a_claim_that_names_what_is_not_there(claim: dict[str, Any], words: str) -> None:
    _head()
    with pytest.raises(OptionError, match=words):
        _head(**claim)
