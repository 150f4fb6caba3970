"""The inner loops of K-means. Legend: B samples, n features, K centres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

rounding = {"reassoc", "contract", "nsz", "arcp"}


# Comparisons are vectorised only under the promise that there is no NaN, which `check_finite` keeps.
@njit(nogil=True, cache=True, fastmath=rounding | {"nnan"}, error_model="numpy")
def highest(score_KB: Any, less_K: Any, value_B: Any, lead_B: Any, index_B: Any) -> None:
    """Writes the largest score_kb − less_k over k, its lead over the next one, and the first k that has it."""
    value_B[:] = -np.inf
    lead_B[:] = np.inf
    index_B[:] = 0
    for k in range(len(score_KB)):
        row, less, number = score_KB[k], less_K[k], np.int32(k)
        for b in range(len(row)):
            ahead = row[b] - less - value_B[b]
            better = ahead > 0
            lead_B[b] = ahead if better else min(lead_B[b], -ahead)
            value_B[b] = row[b] - less if better else value_B[b]
            index_B[b] = number if better else index_B[b]


@njit(nogil=True, cache=True, fastmath=rounding, error_model="numpy")
def centre(y_Bn: Any, middle_n: Any, out_Bn: Any, square_B: Any) -> None:
    """Writes y − middle and its squared norm."""
    for b in range(len(y_Bn)):
        row, out, total = y_Bn[b], out_Bn[b], y_Bn.dtype.type(0)
        for i in range(len(out)):
            moved = row[i] - middle_n[i]
            out[i] = moved
            total += moved * moved
        square_B[b] = total


@njit(nogil=True, cache=True, fastmath=rounding, error_model="numpy")
def distance(y_Bn: Any, centres_Kn: Any, index_B: Any, square_B: Any) -> None:
    """Writes the squared distance of each sample to the centre that has its number, from their difference."""
    for b in range(len(y_Bn)):
        row, other, total = y_Bn[b], centres_Kn[index_B[b]], y_Bn.dtype.type(0)
        for i in range(len(row)):
            gap = row[i] - other[i]
            total += gap * gap
        square_B[b] = total


@njit(nogil=True, cache=True, fastmath=rounding, error_model="numpy")
def gather(y_Bn: Any, index_B: Any, count_K: Any, total_Kn: Any) -> None:
    """Adds each sample to the sum that has its number."""
    for b in range(len(index_B)):
        row, total = y_Bn[b], total_Kn[index_B[b]]
        count_K[index_B[b]] += 1.0
        for i in range(len(total)):
            total[i] += row[i]
