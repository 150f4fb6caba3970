"""Negative sampling for `lowland.energies.WordPairs`, one pair of words after the other.

Legend: V words, R vectors of words and of parts of words, P parts of all words, N pairs, K noise words of a pair, D
numbers of a vector.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
def descend(
    vectors_RD: Any, near_VD: Any, part_P: Any, begin_V1: Any, pair_N2: Any, noise_NK: Any, first: float, last: float
) -> float:
    """A step down the loss of each pair in turn, in place; returns the mean loss, each at the vectors of its turn.

    Word x has the parts part_P[begin_V1[x] : begin_V1[x + 1]], and each of them takes the whole step of their mean, as
    in fastText. The rate falls on a line from `first` towards `last`.
    """
    kind = vectors_RD.dtype.type
    count, size = len(pair_N2), vectors_RD.shape[1]
    mean_D, step_D = np.empty(size, vectors_RD.dtype), np.empty(size, vectors_RD.dtype)
    total = 0.0
    for n in range(count):
        rate = first + (last - first) * n / count
        x = pair_N2[n, 0]
        begin, end = begin_V1[x], begin_V1[x + 1]
        share = kind(1.0 / (end - begin))
        mean_D[:] = 0
        step_D[:] = 0
        for p in range(begin, end):
            row_D = vectors_RD[part_P[p]]
            for d in range(size):
                mean_D[d] += share * row_D[d]
        for k in range(-1, noise_NK.shape[1]):
            other_D = near_VD[pair_N2[n, 1] if k < 0 else noise_NK[n, k]]
            dot = kind(0)
            for d in range(size):
                dot += mean_D[d] * other_D[d]
            # −log σ(dot) of the pair, −log σ(−dot) of noise, and how much the loss falls with the dot.
            wrong = -dot if k < 0 else dot
            tail = math.exp(-abs(wrong))
            total += max(wrong, 0.0) + math.log1p(tail)
            chance = (1.0 if wrong > 0 else tail) / (1 + tail)
            pull = kind(rate * (chance if k < 0 else -chance))
            for d in range(size):
                step_D[d] += pull * other_D[d]
                other_D[d] += pull * mean_D[d]
        for p in range(begin, end):
            row_D = vectors_RD[part_P[p]]
            for d in range(size):
                row_D[d] += step_D[d]
    return total / max(1, count)
