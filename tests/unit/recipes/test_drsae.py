"""The recipe `drsae`: baselines stand beside what it claims, and differences are of paired seeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.reports.run import Run


def test_results_have_baselines(smoke: Callable[[str], Run]) -> None:
    rows = smoke("drsae").results
    assert {row["method"] for row in rows} >= {"DrSAE", "ReLU, two layers", "LISTA + linear"}
    assert all(row["measured"] is not None for row in rows)
    # The digits have ten classes of one size.
    (commonest,) = (row["measured"] for row in rows if row["method"] == "most frequent class (baseline)")
    assert commonest == pytest.approx(90, abs=1)


def test_differences_are_of_paired_seeds(smoke: Callable[[str], Run]) -> None:
    measured = smoke("drsae").measured
    for name in ("ReLU, two layers", "ReLU, three layers", "LISTA + linear"):
        pairs = zip(measured.each("DrSAE", "error"), measured.each(name, "error"), strict=True)
        differences = measured.each(f"DrSAE − {name}", "difference")
        assert differences == pytest.approx([ours - theirs for ours, theirs in pairs])
