"""Verdicts: which of two methods is better on the same samples, or that it is too close to call.

Shape letters: S seeds of training, N samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowland.errors import ShapeError
from lowland.evaluation.success import Interval, wilson

CLOSE = "too close to call"


class Verdict(NamedTuple):
    """The mean difference with its 95 % confidence interval, and the word for it."""

    difference: Interval
    word: str

    @property
    def close(self) -> bool:
        """Whether no ranking may be claimed."""
        return self.word == CLOSE


def verdict(first: npt.ArrayLike, second: npt.ArrayLike, words: tuple[str, str] = ("more", "less")) -> Verdict:
    """The 95 % interval of the mean of first − second on the same samples, and a verdict only if it excludes zero.

    If all non-zero differences have the same size, as for right and wrong answers, the interval is exact: of the m
    samples on which the two disagree, the fraction in favour of the first gets the interval of Clopper and Pearson, so
    the verdict is that of the sign test (McNemar's, "Note on the sampling error of the difference between correlated
    proportions", 1947). At least six samples must all favour one side. Otherwise it is Student's t interval, with the
    variances over samples and over each method's seeds added up and the degrees of freedom of Welch and Satterthwaite
    ("The generalization of 'Student's' problem", 1947).

    Args:
        first, second: (N,) or (S, N) scores of the same N samples; a method without seeds has one row. Treat paired
            seeds, which share a split or a start, as samples: give the mean of each as (N,).
        words: for the first being larger, and smaller.

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
    return _judged(_interval(*tables), words)


def _interval(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Interval:
    each = first.mean(axis=0) - second.mean(axis=0)
    value, count = float(each.mean()), len(each)
    if not math.isfinite(value):
        return Interval(value, -math.inf, math.inf)
    sizes = np.abs(each[each != 0])
    variances = [(table.mean(axis=1).var(ddof=1) / len(table), len(table) - 1) for table in (first, second)
                 if len(table) > 1]  # fmt: skip
    # Equal up to rounding: 0.3 − 0.2 and 0.2 − 0.1 differ in their last bits.
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
    """The interval from the samples on which the two disagree, each of which counts as ±size."""
    from scipy.stats import beta

    apart, ahead = int((each != 0).sum()), int((each > 0).sum())
    low = float(beta.ppf(0.025, ahead, apart - ahead + 1)) if ahead else 0.0
    high = float(beta.ppf(0.975, ahead + 1, apart - ahead)) if ahead < apart else 1.0
    scale = size * apart / len(each)
    return Interval(value, (2 * low - 1) * scale, (2 * high - 1) * scale)


def verdict_of_rates(first: Interval, second: Interval, words: tuple[str, str] = ("more", "less")) -> Verdict:
    """The verdict for two rates of which only the intervals are known, such as those of `wilson`.

    Source: Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10. Rates
    on the same samples differ by less than independent ones, so the interval is too wide rather than too narrow: prefer
    `verdict` if the result of each sample is known.

    >>> from lowland.evaluation.success import wilson
    >>> verdict_of_rates(wilson(950, 1000), wilson(900, 1000)).word
    'more'
    >>> verdict_of_rates(wilson(19, 20), wilson(18, 20)).word
    'too close to call'
    """
    value = first.value - second.value
    low = value - math.hypot(first.value - first.low, second.high - second.value)
    high = value + math.hypot(first.high - first.value, second.value - second.low)
    return _judged(Interval(value, low, high), words)


def verdict_of_accuracies(
    first: Sequence[float], second: Sequence[float], count: int, words: tuple[str, str] = ("more", "less")
) -> Verdict:
    """The verdict for accuracies on `count` test samples, one per training seed, paired.

    With several seeds the interval is over seeds, as in `verdict`. With one it covers only the test samples, as in
    `verdict_of_rates`, and not the variation between training runs.

    >>> verdict_of_accuracies([0.813], [0.767], 300).word, verdict_of_accuracies([0.813], [0.667], 300).word
    ('too close to call', 'more')
    """
    if len(first) > 1:
        return verdict(first, second, words)
    ours, theirs = (wilson(round(share * count), count) for share in (first[0], second[0]))
    return verdict_of_rates(ours, theirs, words)


def auroc_interval(value: float, positives: int, negatives: int) -> Interval:
    """A ± 1.96 SE of an area A under the ROC curve, with n₁ n₀ SE² = A (1 − A) + (n₁ − 1)(Q₁ − A²) + (n₀ − 1)(Q₂ − A²).

    Source: Hanley & McNeil, "The meaning and use of the area under a receiver operating characteristic curve" (1982),
    with Q₁ = A / (2 − A) and Q₂ = 2 A² / (1 + A). At 0 and 1, where SE is 0, it is Wilson's interval for the smaller
    number of samples.

    >>> round(auroc_interval(0.893, 51, 58).high - 0.893, 3)
    0.064
    """
    area = max(value, 1 - value)
    spread = area * (1 - area) + (positives - 1) * (area / (2 - area) - area**2)
    spread += (negatives - 1) * (2 * area**2 / (1 + area) - area**2)
    half = 1.96 * math.sqrt(max(spread, 0.0) / (positives * negatives))
    if half == 0:
        few = min(positives, negatives)
        return wilson(round(value * few), few)
    return Interval(value, max(0.0, value - half), min(1.0, value + half))


def all_above(thresholds: Sequence[tuple[Interval, float]], words: tuple[str, str] = ("yes", "no")) -> str:
    """Whether every interval lies above its threshold: the first word; the second if one lies below; else `CLOSE`.

    >>> from lowland.evaluation.success import wilson
    >>> all_above([(wilson(990, 1000), 0.95), (wilson(900, 1000), 0.8)]), all_above([(wilson(9, 10), 0.8)])
    ('yes', 'too close to call')
    """
    if any(interval.high < threshold for interval, threshold in thresholds):
        return words[1]
    return words[0] if all(interval.low > threshold for interval, threshold in thresholds) else CLOSE


def _judged(difference: Interval, words: tuple[str, str]) -> Verdict:
    return Verdict(difference, words[0] if difference.low > 0 else words[1] if difference.high < 0 else CLOSE)
