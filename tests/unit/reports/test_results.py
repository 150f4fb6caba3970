"""The table of results: means, deviations, failures, verdicts."""

from __future__ import annotations

import math

import pytest

from lowland.errors import OptionError
from lowland.reports.results import Results


def table(**methods: list[float | None]) -> Results:
    return Results({name: {"error": values} for name, values in methods.items()})


def test_a_lower_error_is_called_lower() -> None:
    """Seed by seed against the best rival: `near` wins some seeds, but never against both."""
    results = table(ours=[0.10, 0.11, 0.10, 0.12], far=[0.30, 0.20, 0.31, 0.20], near=[0.20, 0.32, 0.21, 0.33])
    assert results.verdict("ours", ["far", "near"], "error").word == "lower"
    assert results.verdict("near", "ours", "error").word == "higher"
    assert table(ours=[0.1], far=[0.2]).verdict("ours", "far", "error").word == "too close to call"


def test_failed_seeds_do_not_count() -> None:
    results = table(some=[1.0, None, 3.0], none=[None, None])
    assert (results.mean("some", "error"), results.seeds("some", "error")) == (2.0, 2)
    assert results.sd("some", "error") == pytest.approx(2**0.5)
    assert (results.mean("none", "error"), results.sd("none", "error"), results.seeds("none", "error")) == (
        None,
        None,
        0,
    )


def test_an_infinite_number_has_no_deviation() -> None:
    results = table(never=[float("inf"), 3.0])
    assert results.mean("never", "error") == float("inf")
    assert results.sd("never", "error") is None


@pytest.mark.parametrize(
    ("method", "measure", "words"), [("our", "error", "Did you mean 'ours'"), ("ours", "eror", "'error'")]
)
def test_what_was_not_measured_is_an_error(method: str, measure: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        table(ours=[1.0]).mean(method, measure)


def test_text_is_no_number() -> None:
    with pytest.raises(OptionError, match="must be one number"):
        Results().add({"ours": {"error": "low"}})


def test_a_gain_is_judged_by_the_test_samples_of_one_seed() -> None:
    """Ten points on 300 samples are enough, two to five are not."""
    results = table(random=[80.0], clearly=[90.0], hardly=[82.0], nearly=[254 / 3], worse=[60.0], broken=[None])
    told = results.gains(["clearly", "hardly", "nearly", "worse", "broken"], "random", "error", 300)
    close = "too close to call"
    assert [(one["method"], one["points"], one["word"]) for one in told] == [
        ("clearly", 10.0, "above"), ("nearly", 4.666666667, close), ("hardly", 2.0, close), ("worse", -20.0, "below"),
    ]  # fmt: skip


def test_a_gain_is_over_the_seeds_in_which_neither_failed() -> None:
    results = table(random=[80.0, 70.0, 81.0], ours=[90.0, None, 92.0])
    assert results.gains(["ours"], "random", "error", 300)[0]["points"] == 10.5


def test_a_curve_counts_in_the_names_of_measures_or_of_methods() -> None:
    results = Results()
    results.add({"ours": {"error 1": 4.0, "error 2": 2.0}, "2 atoms": {"gap": 7.0}, "4 atoms": {"gap": None}})
    results.add({"ours": {"error 1": 6.0, "error 2": 3.0}, "2 atoms": {"gap": 8.0}, "4 atoms": {"gap": None}})
    assert results.curve("ours", "error {}", (1, 2)) == ([1, 2], [5.0, 2.5])
    counts, means = results.curve("{} atoms", "gap", [2, 4])
    assert (counts, means[0]) == ([2, 4], 7.5)
    assert math.isnan(means[1])
    with pytest.raises(OptionError, match="no 'error 3'"):
        results.curve("ours", "error {}", [3])
