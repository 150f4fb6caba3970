"""Success: intervals against SciPy, the bootstrap against its normal limit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from lowland.errors import OptionError, ShapeError
from lowland.evaluation.success import Interval, paired_bootstrap, recovered, summary, wilson


@pytest.mark.parametrize(("successes", "count"), [(0, 7), (7, 7), (3, 11), (420, 573)])
def test_wilson_as_in_scipy(successes: int, count: int) -> None:
    ours, theirs = wilson(successes, count), binomtest(successes, count).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.low <= ours.value <= ours.high


def test_the_bootstrap_is_as_wide_as_the_normal_limit() -> None:
    generator = np.random.default_rng(0)
    hard = generator.random(400)
    first, second = (hard < 0.8).astype(float), (hard < 0.5).astype(float)
    found = paired_bootstrap(first, second, np.random.default_rng(1), draws=4000)
    difference = first - second
    half = 1.96 * difference.std() / math.sqrt(400)
    assert found.value == pytest.approx(difference.mean())
    # The ends are quantiles of 4,000 draws, whose own error is about 3 % of the width.
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half), rel=0.12)


def test_seeds_widen_the_interval() -> None:
    one = np.zeros(200)
    seeds = np.stack([np.ones(200), np.zeros(200), np.ones(200)])
    found = paired_bootstrap(seeds, one, np.random.default_rng(0), draws=1000)
    assert found.value == pytest.approx(2 / 3)
    assert found.low == 0
    assert paired_bootstrap(one, one, np.random.default_rng(0), draws=10) == Interval(0, 0, 0)


def test_bad_input_is_named() -> None:
    with pytest.raises(ShapeError, match="same N episodes"):
        paired_bootstrap(np.ones(3), np.ones(4), np.random.default_rng(0))
    with pytest.raises(OptionError, match="5 of 3"):
        wilson(5, 3)
    with pytest.raises(OptionError, match="no gap"):
        recovered(0.5, 1.0, 1.0)
    with pytest.raises(OptionError, match="0 of 0"):
        summary([])


def test_no_order_is_claimed_where_intervals_overlap() -> None:
    assert wilson(8, 10).overlaps(wilson(5, 10))
    assert not wilson(90, 100).overlaps(wilson(10, 100))
