"""How long a training step takes, for trainings whose length is given in minutes."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

STEPS = 8
"""What a measurement trains for."""
_SETTLING = 2


def pace(learn: Callable[..., Any]) -> float:
    """Wall time of a step in seconds: the median of six, after two that include what is done once.

    The difference of a short training and a longer one would not do: what the process does once, such as compiling and
    filling caches, falls to the first of the two, and the difference can be about zero, or below.

    Args:
        learn: trains for `max_steps`, and calls `callback` after each step, as `ll.fit` does.

    >>> def learn(max_steps, log_every, callback):
    ...     for step in range(max_steps):
    ...         callback(step, {})
    >>> pace(learn) > 0
    True
    """
    times: list[float] = []
    learn(max_steps=STEPS, log_every=1, callback=lambda *_: times.append(time.perf_counter()))
    settled = times[_SETTLING - 1 :]
    return statistics.median(after - before for before, after in itertools.pairwise(settled))
