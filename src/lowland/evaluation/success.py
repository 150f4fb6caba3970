"""Success rates over episodes: confidence intervals, and differences between methods on the same episodes.

Shape letters: S seeds of training, N episodes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowland.errors import OptionError, ShapeError

_Z95 = 1.959963984540054


class Interval(NamedTuple):
    """A value with the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether the intervals overlap, in which case no ranking may be claimed."""
        return self.low <= other.high and other.low <= self.high


def wilson(successes: int, count: int, z: float = _Z95) -> Interval:
    """(p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n), with p the share of successes.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927). z = 1.96 gives 95 %.

    Raises:
        OptionError: unless 0 ≤ successes ≤ count and count ≥ 1.

    >>> tuple(round(number, 4) for number in wilson(8, 10))
    (0.8, 0.4902, 0.9433)
    """
    if not 0 <= successes <= count or count < 1:
        raise OptionError(f"A rate needs 0 <= successes <= count and count >= 1, not {successes} of {count}.")
    rate, extra = successes / count, z * z / count
    middle = rate + extra / 2
    half = z * math.sqrt(rate * (1 - rate) / count + extra / (4 * count))
    # At rates 0 and 1, rounding could put the rate just outside its interval.
    return Interval(
        rate, min(rate, max((middle - half) / (1 + extra), 0.0)), max(rate, min((middle + half) / (1 + extra), 1.0))
    )


def success_row(successes: npt.ArrayLike) -> dict[str, float]:
    """The share of successes of N episodes in percent, with the ends of Wilson's interval for 95 %.

    >>> {name: round(value, 1) for name, value in success_row([1, 1, 0, 1]).items()}
    {'success': 75.0, 'low': 30.1, 'high': 95.4}
    """
    each = np.asarray(successes, dtype=bool)
    found = wilson(int(each.sum()), each.size)
    return {"success": 100 * found.value, "low": 100 * found.low, "high": 100 * found.high}


def mean_rate(successes: npt.ArrayLike) -> Interval:
    """The mean success over seeds with Wilson's interval for N episodes, which are the same for all seeds.

    Args:
        successes: (N,) or (S, N), as 0 and 1.

    Raises:
        OptionError: if there are no episodes.

    >>> mean_rate([[1, 1, 0, 0], [1, 1, 1, 1]]) == wilson(3, 4)
    True
    """
    table = np.atleast_2d(np.asarray(successes, dtype=float))
    return wilson(round(float(table.sum()) / len(table)), table.shape[1])


def paired_bootstrap(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    generator: np.random.Generator,
    draws: int = 10_000,
    share: float = 0.95,
) -> Interval:
    """Mean of first − second, with the percentile interval over episodes (and seeds) resampled with replacement.

    Source: Efron & Tibshirani, "An introduction to the bootstrap" (1993), section 13.3. Both methods are measured on
    the same episodes, so the difficulty of an episode cancels in the difference. Seeds and episodes are resampled
    independently; a method without training seeds has one row.

    Args:
        first, second: (N,) or (S, N), successes as 0 and 1, or any score, of the same N episodes.
        generator: of the bootstrap samples.
        draws: number of bootstrap samples.
        share: coverage of the interval.

    Raises:
        ShapeError: if the numbers of episodes differ or are 0.

    >>> better, worse = np.ones(50), np.repeat([0.0, 1.0], 25)
    >>> difference = paired_bootstrap(better, worse, np.random.default_rng(0))
    >>> difference.value, difference.low > 0.3, difference.high < 0.7
    (0.5, True, True)
    """
    tables = [np.atleast_2d(np.asarray(scores, dtype=float)) for scores in (first, second)]
    episodes = tables[0].shape[-1]
    if any(table.ndim != 2 or table.shape[1] != episodes or not table.size for table in tables):
        raise ShapeError(
            "A paired comparison needs scores (N,) or (S, N) of the same N episodes, but the shapes are "
            f"{' and '.join(str(np.shape(scores)) for scores in (first, second))}."
        )
    value = float(tables[0].mean() - tables[1].mean())
    found = np.empty(draws)
    for draw in range(draws):
        chosen = generator.integers(episodes, size=episodes)
        ours, theirs = (table[generator.integers(len(table), size=len(table))][:, chosen].mean() for table in tables)
        found[draw] = ours - theirs
    low, high = np.quantile(found, [(1 - share) / 2, (1 + share) / 2])
    return Interval(value, float(low), float(high))


def recovered(method: float, worst: float, best: float) -> float:
    """(method − worst) / (best − worst): the fraction of the gap between two baselines that a method closes.

    >>> recovered(0.8, worst=0.2, best=1.0)
    0.75
    """
    if best == worst:
        raise OptionError("There is no gap to recover: the best and the worst rate are the same.")
    return round((method - worst) / (best - worst), 12)


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summary of one method: n, success with its interval, mean distance (m) and seconds, and the reasons.

    Args:
        rows: of `lowland.envs.Replay.run`, one for each episode.

    >>> rows = [{"success": True, "distance": 200.0, "seconds": 20.0, "reason": "reached"}]
    >>> summary(rows)["n"], summary(rows)["success"].value, summary(rows)["reasons"]
    (1, 1.0, {'reached': 1})
    """
    success = wilson(sum(bool(row["success"]) for row in rows), len(rows))
    means = {name: float(np.mean([row[name] for row in rows])) for name in ("distance", "seconds")}
    reasons = Counter(str(row["reason"]) for row in rows)
    return {"n": len(rows), "success": success, **means, "reasons": dict(reasons.most_common())}
