"""The recipe `easgd`: published figures are met, the clock keeps time, and the page says what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.evaluation.virtual_cluster import Link
from lowland.recipes.base import load
from lowland.recipes.scale.easgd.recipe import EasgdRecipe
from lowland.reports.run import Run


def test_eigenvalues_and_regions_are_the_published_ones(smoke: Callable[[str], Run]) -> None:
    """Published to five and to four decimals."""
    run = smoke("easgd")
    rows = [row for row in run.results if row["published"] is not None]
    gaps = [abs(row["measured"] - row["published"]) for row in rows]
    assert [row["method"] for row in rows] == ["ADMM, p = 3", "ADMM, p = 8"]
    assert gaps[0] < 0.5e-5
    assert gaps[1] < 0.5e-4
    wrong = {row["method"]: (row["id"], row["measured"]) for row in run.results if "otherwise" in row["claim"]}
    assert wrong == {
        "EASGD in turns, p = 3": ("D4", 0), "EASGD in turns, p = 8": ("D4", 0),
        "EASGD all at once, p = 3": ("D1", 0), "EASGD all at once, p = 8": ("D1", 0),
    }  # fmt: skip
    assert {row["id"] for row in run.results} == set(EasgdRecipe.entry.head.systems)


def test_steps_take_the_time_of_computation_and_links(smoke: Callable[[str], Run]) -> None:
    """Two milliseconds a step as given, and messages of the weights in single precision."""
    run = smoke("easgd")
    link, size = Link(), 4 * run.shown["parameters"]
    ring = 1000 * link.ring(size, 2)
    mean = run.measured.mean
    assert mean("all-reduce, p = 1", "step") == pytest.approx(2)
    assert mean("all-reduce, p = 2", "step") == pytest.approx(2 + ring)
    assert mean("all-reduce, p = 2, hidden", "step") == pytest.approx(max(2, ring))
    assert mean("all-reduce, p = 2, one slow", "step") == pytest.approx(8 + ring)
    assert mean("local SGD, τ = 4, p = 2", "step") == pytest.approx(2 + ring / 4)
    assert mean("EASGD, τ = 4, p = 1", "step") == pytest.approx(2 + 2000 * link.message(size) / 4)
    assert run.measured.mean("untrained", "error") == pytest.approx(90, abs=5)


def test_a_method_of_each_kind_learns(smoke: Callable[[str], Run]) -> None:
    last = {
        method: smoke("easgd").measured.mean(method, "error") for method in smoke("easgd").measured.methods("error")
    }
    assert set(last) == {"untrained", "all-reduce, p = 2", *(f"{name}, τ = 4, p = 2" for name in
                         ("EASGD", "EAMSGD", "Downpour", "DiLoCo", "local SGD"))}  # fmt: skip
    assert max(last["all-reduce, p = 2"], last["EAMSGD, τ = 4, p = 2"], last["local SGD, τ = 4, p = 2"]) < 60


def test_the_page_says_that_the_clock_is_virtual(smoke: Callable[[str], Run]) -> None:
    page = (smoke("easgd").folder / "report.html").read_text()
    assert "The clock is virtual" in page
    assert "No network was in use" in page


@pytest.mark.parametrize("options", [{"periods": (10, 1)}, {"members": (2, 2)}, {"every": 0.3}])
def test_what_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        load("easgd").from_options(options)
