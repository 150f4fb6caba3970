"""What this machine can do, and how long a function takes on it: both measured, by short runs of the same clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

_SIDE, _COPIED, _EACH = 384, 2**24, 20
"""Rows of the square matrices, numbers of the array that is copied, 64 MiB, and products for each copy.

A product takes about a millisecond, so that on a machine that others use too some of many are not interrupted.
"""


class Roof(NamedTuple):
    """The most that a machine was seen to do.

    Attributes:
        arithmetic: operations a second of a product of float32 matrices, a multiply–add being two.
        bandwidth: bytes a second, read and written, of a copy in memory.
    """

    arithmetic: float
    bandwidth: float

    def seconds(self, operations: float, moved: float) -> float:
        """The least time for so many operations and bytes: one of the two limits it.

        Source: Williams, Waterman & Patterson, "Roofline: an insightful visual performance model for multicore
        architectures" (2009).

        >>> Roof(arithmetic=100.0, bandwidth=10.0).seconds(operations=50, moved=20)
        2.0
        """
        return max(operations / self.arithmetic, moved / self.bandwidth)

    def rate(self, intensity: float) -> float:
        """The most operations a second for so many operations a byte."""
        return min(self.arithmetic, intensity * self.bandwidth)


def measure_roof(rounds: int = 20) -> Roof:
    """The roof of this machine with torch's present threads: the best of some copies and 20 times as many products.

    >>> roof = measure_roof(rounds=1)
    >>> roof.arithmetic > 1e8, roof.bandwidth > 1e8
    (True, True)
    """
    left, right = torch.ones(2, _SIDE, _SIDE)
    product, source, target = torch.empty(_SIDE, _SIDE), torch.ones(_COPIED), torch.empty(_COPIED)
    with torch.no_grad():
        fastest = min(timings(lambda: torch.mm(left, right, out=product), _EACH * rounds))
        copied = min(timings(lambda: target.copy_(source), rounds))
    return Roof(2 * _SIDE**3 / fastest, 2 * source.element_size() * _COPIED / copied)


def timings(function: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each of some calls, after one that is not counted.

    >>> len(timings(lambda: None, 3))
    3
    """
    function()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return found


def latency(function: Callable[[], object], seconds: float = 0.5, least: int = 5, most: int = 200) -> float:
    """Median seconds of a call: at least `least` calls, then until they took `seconds` in all or there were `most`.

    >>> latency(lambda: None, most=10) < 1.0
    True
    """
    function()
    found: list[float] = []
    while len(found) < least or (sum(found) < seconds and len(found) < most):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return statistics.median(found)
