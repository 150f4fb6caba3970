"""Verdicts: intervals and tests of SciPy's, and the smallest evidence that makes one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lowland.errors import ShapeError
from lowland.evaluation.success import wilson
from lowland.evaluation.verdict import CLOSE, all_above, auroc_interval, verdict, verdict_of_rates


@pytest.mark.parametrize(("ahead", "behind", "equal"), [(1, 0, 74), (5, 0, 0), (6, 0, 0), (9, 2, 30), (2, 12, 1)])
def test_right_and_wrong_answers_get_the_sign_test(ahead: int, behind: int, equal: int) -> None:
    first = np.repeat([1.0, 0.0, 1.0], [ahead, behind, equal])
    second = np.repeat([0.0, 1.0, 1.0], [ahead, behind, equal])
    found, known = verdict(first, second), stats.binomtest(ahead, ahead + behind)
    ends = known.proportion_ci(0.95, "exact")
    share = (ahead + behind) / len(first)
    expected = [(ahead - behind) / len(first), (2 * ends.low - 1) * share, (2 * ends.high - 1) * share]
    assert list(found.difference) == pytest.approx(expected, abs=1e-12)
    assert found.close == (known.pvalue > 0.05)
    if not found.close:
        assert found.word == ("more" if ahead > behind else "less")


def test_scores_get_students_interval() -> None:
    generator = np.random.default_rng(0)
    first = generator.normal(size=9)
    second = first - generator.normal(0.3, 0.4, 9)
    known = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert list(verdict(first, second).difference)[1:] == pytest.approx([known.low, known.high], abs=1e-12)


def test_seeds_get_welchs_interval() -> None:
    first, second = np.array([[0.8], [0.9], [0.85]]), np.array([[0.5], [0.7]])
    known = stats.ttest_ind(first[:, 0], second[:, 0], equal_var=False).confidence_interval(0.95)
    assert list(verdict(first, second).difference)[1:] == pytest.approx([known.low, known.high], abs=1e-12)


def test_seeds_widen_the_interval() -> None:
    samples = np.random.default_rng(0).random(200)
    steady = np.stack([samples + 0.2] * 3)
    shaky = steady + np.array([[-0.2], [0.0], [0.2]])
    assert verdict(steady, samples).word == "more"
    assert verdict(shaky, samples).close


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1.0], [0.0]),
        ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0]),
        (np.ones((3, 4)), np.zeros(4)),
        ([0.3, 0.2], [0.2, 0.1]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([math.nan] * 20, [0.0] * 20),
        ([math.inf] * 20, [0.0] * 20),
    ],
)
def test_little_evidence_makes_no_verdict(first: object, second: object) -> None:
    with np.errstate(invalid="ignore"):
        assert verdict(first, second).word == CLOSE  # type: ignore[arg-type]


def test_the_verdict_is_wrong_in_one_of_twenty_at_most() -> None:
    generator = np.random.default_rng(1)
    draws = 600
    wrong = sum(not verdict(*generator.integers(2, size=(2, 30))).close for _ in range(draws))
    # Under equal methods the exact test errs in at most 5 %; three standard errors of 600 draws are 2.7 %.
    assert wrong / draws <= 0.077


def test_rates_get_newcombes_interval() -> None:
    """Example (a) of Newcombe (1998), table II: 56 of 70 against 48 of 80 gives 0.0524 to 0.3339."""
    found = verdict_of_rates(wilson(56, 70), wilson(48, 80), ("better", "worse"))
    assert [round(end, 4) for end in found.difference] == [0.2, 0.0524, 0.3339]
    assert found.word == "better"
    assert verdict_of_rates(wilson(48, 80), wilson(56, 70), ("better", "worse")).word == "worse"


def test_the_interval_of_an_area_holds_what_it_should() -> None:
    """Scores N(0, 1) against N(1.5, 1) have an area of Φ(1.5 / √2)."""
    generator, area = np.random.default_rng(2), stats.norm.cdf(1.5 / math.sqrt(2))
    inside, draws = 0, 300
    for _ in range(draws):
        low, high = generator.normal(size=60), generator.normal(1.5, size=40)
        found = auroc_interval(float((high[:, None] > low).mean()), 40, 60)
        inside += found.low <= area <= found.high
    # Three standard errors of 300 draws around 95 % are 3.8 %; Hanley and McNeil's error is on the safe side.
    assert inside / draws >= 0.912
    assert auroc_interval(1.0, 5, 9).low == pytest.approx(wilson(5, 5).low)


def test_bad_input_is_named() -> None:
    with pytest.raises(ShapeError, match="same N samples"):
        verdict([1.0], [1.0, 2.0])
    with pytest.raises(ShapeError, match="same N samples"):
        verdict([], [])


@pytest.mark.parametrize(("noise", "patches", "word"), [
    (0.99, 0.95, "yes"), (0.955, 0.95, CLOSE), (0.99, 0.79, CLOSE), (0.90, 0.99, "no"), (0.99, 0.5, "no"),
])  # fmt: skip
def test_a_threshold_is_reached_by_the_whole_interval(noise: float, patches: float, word: str) -> None:
    areas = [(auroc_interval(noise, 300, 300), 0.95), (auroc_interval(patches, 300, 300), 0.80)]
    assert all_above(areas) == word
