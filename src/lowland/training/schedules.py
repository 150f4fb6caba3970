"""Learning rates as shares of the highest, by step, for `ll.fit(schedule=...)`."""

from __future__ import annotations

import math

_WARM = 0.1


def cosine(steps: int, step: int) -> float:
    """From 1 to 0 along half a cosine: ½ (1 + cos(π t / T)).

    Source: Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), equation 5.

    >>> cosine(100, 0), round(cosine(100, 50), 3)
    (1.0, 0.5)
    """
    return 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def warm_cosine(steps: int, step: int) -> float:
    """The learning rate as a fraction of its peak: linear warm-up for a tenth of the steps, then cosine decay.

    >>> round(warm_cosine(100, 4), 2), warm_cosine(100, 10), round(warm_cosine(100, 55), 2)
    (0.5, 1.0, 0.5)
    """
    warm = max(1, round(_WARM * steps))
    return (step + 1) / warm if step < warm else cosine(steps - warm, step - warm)


def falling(steps: int, step: int) -> float:
    """A learning rate that falls linearly to zero, as a share of the first, for `ll.fit(schedule=...)`.

    >>> falling(4, 0), falling(4, 3)
    (1.0, 0.25)
    """
    return max(0.0, 1 - step / steps)
