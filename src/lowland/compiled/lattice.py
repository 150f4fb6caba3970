"""Sums over, and the least of, all paths through an automaton that read a row of cells.

Legend: B samples, C cells, L cells of the longest piece, K labels, S states, A arcs. The arcs of all automata stand one
behind the other, ordered by target: those into state s of automaton q are `enter[first[q] + s]` and on. `which` names
the automaton of a sample.

Sums are over products of exp(−cost), as numbers m·Uᵏ with U = 2²⁵⁶ and m in [1/U, 1], or 0: no exponential and no
logarithm for an arc, and no sum that leaves the range of float64. A NaN among the costs that a sample reads makes its
results NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

_UNIT, _TINY = 2.0**256, 2.0**-256
_LOG = 256 * math.log(2.0)

jit = njit(nogil=True, cache=True, fastmath={"contract", "nsz"}, error_model="numpy")


@jit
def power(v: float) -> tuple[float, int]:
    """exp(v) as (m, k); 0 for v = −∞, and NaN for other v that are not finite."""
    if v == -math.inf:
        return 0.0, 0
    if not (v < math.inf):
        return math.nan, 0
    k = math.ceil(v / _LOG)
    return math.exp(v - k * _LOG), k


@jit
def powers(costs: Any, m: Any, k: Any) -> None:
    """exp(−c) of each cost of a vector."""
    for i in range(len(costs)):
        m[i], k[i] = power(-costs[i])


@jit
def used_labels(label: Any, begin: int, end: int, labels: int) -> Any:
    """Which labels these arcs read, ascending."""
    seen = np.zeros(labels, np.bool_)
    for a in range(begin, end):
        seen[label[a]] = True
    return np.flatnonzero(seen)


@jit
def times(m: float, k: int, by: float, by_k: int, also: float, also_k: int) -> tuple[float, int]:
    """The product of three numbers."""
    m, k = m * by * also, k + by_k + also_k
    if m < _TINY and m > 0.0:
        m, k = m * _UNIT, k - 1
        if m < _TINY:
            m, k = m * _UNIT, k - 1
    return m, k


@jit
def plus(m: float, k: int, other: float, other_k: int) -> tuple[float, int]:
    """The sum of two numbers, m of the first possibly above 1."""
    if m != m or other != other:
        return math.nan, 0
    if other_k == k or m == 0.0:
        return m + other, other_k
    if other == 0.0:
        return m, k
    if other_k > k:
        return other + (m * _TINY if other_k == k + 1 else 0.0), other_k
    return m + (other * _TINY if other_k == k - 1 else 0.0), k


@jit
def sum_paths(
    cost: Any,  # (B, C, L, K)
    cells: Any,  # (B,) cells of each sample
    which: Any,  # (B,)
    first: Any,  # first state of each automaton, and the end
    enter: Any,  # first arc into each state, and the end
    source: Any,  # (A,) counted within its automaton
    label: Any,  # (A,)
    weight: Any,  # (A,) exp(−w), as m
    weight_k: Any,  # and as k
    start: Any,  # (S,) of all automata, costs
    final: Any,  # (S,)
    chunk: Any,  # samples to do
    alpha: Any,  # (B, C + 1, S) Σ over paths to a state that read c cells of exp(−cost), as m
    alpha_k: Any,  # and as k
    total: Any,  # (B,) −log Σ exp(−cost) over all paths
) -> None:
    """The forward algorithm."""
    longest, labels = cost.shape[2], cost.shape[3]
    price, price_k = np.empty((longest, labels)), np.empty((longest, labels), np.int64)
    for b in chunk:
        q = which[b]
        low, high = first[q], first[q + 1]
        read = used_labels(label, enter[low], enter[high], labels)
        for s in range(low, high):
            alpha[b, 0, s - low], alpha_k[b, 0, s - low] = power(-start[s])
        for c in range(cells[b]):
            reach = min(longest, c + 1)
            for part in range(reach):
                for i in read:
                    price[part, i], price_k[part, i] = power(-cost[b, c, part, i])
            for s in range(low, high):
                m, k = 0.0, 0
                for part in range(reach):
                    for a in range(enter[s], enter[s + 1]):
                        before, i = source[a], label[a]
                        each, each_k = times(
                            alpha[b, c - part, before], alpha_k[b, c - part, before], price[part, i], price_k[part, i],
                            weight[a], weight_k[a],
                        )  # fmt: skip
                        m, k = plus(m, k, each, each_k)
                if m > 1.0:
                    m, k = m * _TINY, k + 1
                alpha[b, c + 1, s - low], alpha_k[b, c + 1, s - low] = m, k
        m, k = 0.0, 0
        for s in range(low, high):
            end, end_k = power(-final[s])
            each, each_k = times(
                alpha[b, cells[b], s - low], alpha_k[b, cells[b], s - low], end, end_k, 1.0, 0
            )  # fmt: skip
            m, k = plus(m, k, each, each_k)
        total[b] = math.inf if m == 0.0 else -(math.log(m) + k * _LOG)


@jit
def share_paths(
    cost: Any,
    cells: Any,
    which: Any,
    first: Any,
    enter: Any,
    source: Any,
    label: Any,
    weight: Any,
    weight_k: Any,
    final: Any,
    chunk: Any,
    alpha: Any,
    alpha_k: Any,
    total: Any,
    slope: Any,  # (B,) factor of each sample
    by_cost: Any,  # (B, C, L, K) zeros, and then the answer
    by_weight: Any,  # (A,) zeros, and then the answer
) -> None:
    """Share of the paths, weighed by exp(−cost), that use each cost and each arc: the gradient of `sum_paths`."""
    longest, labels = cost.shape[2], cost.shape[3]
    price, price_k = np.empty((longest, labels)), np.empty((longest, labels), np.int64)
    for b in chunk:
        if total[b] == math.inf or slope[b] == 0.0:
            continue
        if total[b] != total[b]:
            by_cost[b] = math.nan
            by_weight[:] = math.nan
            continue
        q = which[b]
        low, high = first[q], first[q + 1]
        read = used_labels(label, enter[low], enter[high], labels)
        share = np.zeros((cells[b] + 1, high - low))
        whole, whole_k = 0.0, 0
        for s in range(low, high):
            end, end_k = power(-final[s])
            m, k = times(alpha[b, cells[b], s - low], alpha_k[b, cells[b], s - low], end, end_k, 1.0, 0)
            whole, whole_k = plus(whole, whole_k, m, k)
        for s in range(low, high):
            end, end_k = power(-final[s])
            m, k = times(alpha[b, cells[b], s - low], alpha_k[b, cells[b], s - low], end, end_k, 1.0, 0)
            share[cells[b], s - low] = m / whole * scale(k - whole_k)
        for c in range(cells[b] - 1, -1, -1):
            reach = min(longest, c + 1)
            for part in range(reach):
                for i in read:
                    price[part, i], price_k[part, i] = power(-cost[b, c, part, i])
            for s in range(low, high):
                here = share[c + 1, s - low]
                if here < 1e-300:
                    continue
                here /= alpha[b, c + 1, s - low]
                base = alpha_k[b, c + 1, s - low]
                for part in range(reach):
                    for a in range(enter[s], enter[s + 1]):
                        before, i = source[a], label[a]
                        m, k = times(
                            alpha[b, c - part, before], alpha_k[b, c - part, before], price[part, i], price_k[part, i],
                            weight[a], weight_k[a],
                        )  # fmt: skip
                        if m > 0.0 and k >= base - 1:
                            used = here * m if k == base else here * m * scale(k - base)
                            share[c - part, before] += used
                            by_cost[b, c, part, i] += used * slope[b]
                            by_weight[a] += used * slope[b]


@jit
def scale(k: int) -> float:
    """Uᵏ for a k near 0."""
    if k == 0:
        return 1.0
    if k == -1:
        return _TINY
    return _UNIT if k == 1 else 0.0


@jit
def least_path(
    cost: Any,
    cells: Any,
    which: Any,
    first: Any,
    enter: Any,
    source: Any,
    label: Any,
    weight: Any,
    start: Any,
    final: Any,
    chunk: Any,
    total: Any,  # (B,) the least cost, +∞ if there is no path
    path: Any,  # (B, C) −1, and then the arc whose piece ends with each cell
) -> None:
    """The Viterbi algorithm."""
    longest = cost.shape[2]
    for b in chunk:
        q, count, unknown = which[b], cells[b], False
        low, high = first[q], first[q + 1]
        states = high - low
        best = np.empty((count + 1, states))
        arc, size = np.empty((count + 1, states), np.int64), np.zeros((count + 1, states), np.int64)
        for s in range(low, high):
            best[0, s - low] = start[s]
        for c in range(count):
            reach = min(longest, c + 1)
            for s in range(low, high):
                least, by, cells_of = math.inf, -1, 0
                for part in range(reach):
                    for a in range(enter[s], enter[s + 1]):
                        value = best[c - part, source[a]] + cost[b, c, part, label[a]] + weight[a]
                        unknown |= value != value
                        if value < least:
                            least, by, cells_of = value, a, part + 1
                best[c + 1, s - low], arc[c + 1, s - low], size[c + 1, s - low] = least, by, cells_of
        least, at = math.inf, -1
        for s in range(states):
            if best[count, s] + final[low + s] < least:
                least, at = best[count, s] + final[low + s], s
        if unknown:
            total[b] = math.nan
            continue
        total[b] = least
        c = count
        while at >= 0 and c > 0:
            a = arc[c, at]
            path[b, c - 1] = a
            c -= size[c, at]
            at = source[a]
