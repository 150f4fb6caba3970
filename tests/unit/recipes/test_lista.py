"""The recipe `lista`: what it measures is what its words say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import load
from lowland.reports.run import Run


def test_the_page_compares_with_solvers(smoke: Callable[[str], Run]) -> None:
    run = smoke("lista")
    rows = {(row["claim"][:10], row["method"]): row["measured"] for row in run.results if row["id"] == "S3"}
    assert rows["code error", "zero code (baseline)"] == pytest.approx(1)
    assert rows["code error", "LISTA, 2 shrinkages"] < rows["code error", "FISTA, 2 iterations (baseline)"]
    assert all(row["seeds"] == 2 for row in run.results)
    assert {"S4", "S5"} <= {row["id"] for row in run.results}


def test_iterations_of_fista_have_the_errors_of_the_encoder(smoke: Callable[[str], Run]) -> None:
    """FISTA is worse one iteration before, and no worse at the number that is told."""
    measured, name = smoke("lista").measured, "LISTA, 2 shrinkages"
    for seed, count in enumerate(measured.each(name, "FISTA error")):
        error = measured.each(name, "code_error")[seed]
        before, there = (measured.each("FISTA", f"error {k:g}")[seed] for k in (count - 1, count))
        assert there <= error < before


def test_only_cheaper_encoders_are_affordable(smoke: Callable[[str], Run]) -> None:
    measured, name = smoke("lista").measured, "LISTA, 2 shrinkages"
    limit = measured.mean(name, "multiplications")
    assert limit == 144 * 32 + 32**2
    assert all(measured.mean(one, "multiplications") <= limit for one in measured.methods("affordable"))
    assert len(measured.methods("affordable")) == 3


WRONG = (
    {"samples": 10},
    {"shrinkages": (1, 4)},
    {"shrinkages": (2, 3)},
    {"inhibited": 5},
    {"untied": (2,)},
    {"descents": (8, 4)},
    {"descents": ()},
)


@pytest.mark.parametrize("options", WRONG)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        load("lista").from_options(options)
