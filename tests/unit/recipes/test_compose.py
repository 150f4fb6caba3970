"""The recipe `compose`: sums are compared with their terms, seed by seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.recipes.foundations.compose.recipe import PARTNERS
from lowland.reports.run import Run


def test_energies_are_compared_with_each_other(smoke: Callable[[str], Run]) -> None:
    results = smoke("compose").measured
    sums = [f"strokes + {name}" for name in PARTNERS]
    assert results.methods("error") == ["mean image", *PARTNERS, "strokes", *sums]
    assert results.best("error", ["correlations", "mean image"]) == "correlations"
    for both, name in zip(sums, PARTNERS, strict=True):
        terms = zip(results.each("strokes", "error"), results.each(name, "error"), strict=True)
        gains = [own - min(pair) for own, pair in zip(results.each(both, "error"), terms, strict=True)]
        assert results.each(both, "gain") == pytest.approx(gains)
