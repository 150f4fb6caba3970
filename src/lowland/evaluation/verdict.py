"""Verdicts: which of two methods does better on the same samples, or that it is too close to call.

Shape letters: S seeds of training, N samples.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowland.errors import ShapeError
from lowland.evaluation.success import Interval

CLOSE = "too close to call"


class Verdict(NamedTuple):
    """The mean difference with its 95 % interval, and the word for it."""

    difference: Interval
    word: str

    @property
    def close(self) -> bool:
        """Whether no order may be claimed."""
        return self.word == CLOSE


def verdict(first: npt.ArrayLike, second: npt.ArrayLike, words: tuple[str, str] = ("more", "less")) -> Verdict:
    """The 95 % interval of the mean of first − second on the same samples, and a word only where it excludes zero.

    Where single differences are of one size, as with right and wrong answers, the interval is exact: of the m samples
    on which the two disagree, the share that speaks for the first has the interval of Clopper and Pearson, so that the
    verdict is that of the sign test (McNemar's, "Note on the sampling error of the difference between correlated
    proportions", 1947). It takes six samples that all speak for one side. Else it is Student's, with the variances of
    samples and of the seeds of each method added up and the degrees of freedom of Welch and Satterthwaite ("The
    generalization of 'Student's' problem", 1947).

    Args:
        first, second: (N,) or (S, N) scores of the same N samples; a method without seeds of its own is one row. Seeds
            that are paired, because they share a split or a start, are samples: give the mean of each as (N,).
        words: where the first is larger, and where it is smaller.

    Raises:
        ShapeError: if the samples differ in number or there are none.

    >>> verdict([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]).word
    'more'
    >>> verdict([1, 1, 1], [0, 0, 0]).word
    'too close to call'
    >>> verdict([0.91, 0.92, 0.93, 0.91], [0.71, 0.74, 0.70, 0.73], ("better", "worse")).word
    'better'
    """
    tables = [np.atleast_2d(np.asarray(scores, dtype=float)) for scores in (first, second)]
    if any(table.ndim != 2 or not table.size for table in tables) or tables[0].shape[1] != tables[1].shape[1]:
        raise ShapeError(
            "A verdict needs scores (N,) or (S, N) of the same N samples, but the shapes are "
            f"{' and '.join(str(np.shape(scores)) for scores in (first, second))}."
        )
    difference = _interval(*tables)
    word = words[0] if difference.low > 0 else words[1] if difference.high < 0 else CLOSE
    return Verdict(difference, word)


def _interval(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Interval:
    each = first.mean(axis=0) - second.mean(axis=0)
    value, count = float(each.mean()), len(each)
    if not math.isfinite(value):
        return Interval(value, -math.inf, math.inf)
    sizes = np.abs(each[each != 0])
    variances = [(table.mean(axis=1).var(ddof=1) / len(table), len(table) - 1) for table in (first, second)
                 if len(table) > 1]  # fmt: skip
    # Equal to rounding: 0.3 − 0.2 and 0.2 − 0.1 differ in their last bits.
    if not any(variance for variance, _ in variances) and len(sizes) and np.allclose(sizes, sizes[0], rtol=1e-9):
        return _exact(value, each, float(sizes[0]))
    if count > 1:
        variances.append((each.var(ddof=1) / count, count - 1))
    total = sum(variance for variance, _ in variances)
    if not variances:
        return Interval(value, -math.inf, math.inf)
    if total == 0:
        return Interval(value, value, value)
    from scipy.stats import t

    freedom = total**2 / sum(variance**2 / degrees for variance, degrees in variances)
    half = float(t.ppf(0.975, freedom)) * math.sqrt(total)
    return Interval(value, value - half, value + half)


def _exact(value: float, each: npt.NDArray[np.float64], size: float) -> Interval:
    """The interval given which samples the two disagree on, each of which counts as ±size."""
    from scipy.stats import beta

    apart, ahead = int((each != 0).sum()), int((each > 0).sum())
    low = float(beta.ppf(0.025, ahead, apart - ahead + 1)) if ahead else 0.0
    high = float(beta.ppf(0.975, ahead + 1, apart - ahead)) if ahead < apart else 1.0
    scale = size * apart / len(each)
    return Interval(value, (2 * low - 1) * scale, (2 * high - 1) * scale)
