"""Two recipes in full against the rows that they had before; `python tests/smoke_results.py` compares all of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowland.reports.run import Run

_spec = importlib.util.spec_from_file_location("smoke_results", Path(__file__).parent.parent / "smoke_results.py")
assert _spec is not None
assert _spec.loader is not None
script: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)


@pytest.mark.parametrize("name", ["psd", "one-one-one"])
def test_the_rows_are_as_they_were(name: str, smoke: Callable[[str], Run]) -> None:
    """Another processor rounds otherwise, which thirty training steps amplify: 1e-3 of each number is allowed."""
    results = smoke(name).results
    assert script.differences(name, results, 1e-3) == []
    changed = [{**results[0], "measured": 1.01 * results[0]["measured"] + 0.01}, *results[1:]]
    assert len(script.differences(name, changed, 1e-3)) == 1
    assert len(script.differences(name, results[1:], 1e-3)) == 1
