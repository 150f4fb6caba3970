"""Sums over, and the least of, all paths through an automaton that read a row of cells.

Legend: B samples, C cells, L cells of the longest piece, K labels, S states, A arcs. The arcs of all automata stand one
behind the other, ordered by target: those into state s of automaton q are `enter[first[q] + s]` and on. `which` names
the automaton of a sample. Sums are in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

# exp(−36) is below the rounding of a sum in float64.
_SMALL = -36.0

jit = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")


@jit
def sum_paths(
    cost: Any,  # (B, C, L, K)
    cells: Any,  # (B,) cells of each sample
    which: Any,  # (B,)
    first: Any,  # first state of each automaton, and the end
    enter: Any,  # first arc into each state, and the end
    source: Any,  # (A,) counted within its automaton
    label: Any,  # (A,)
    weight: Any,  # (A,)
    start: Any,  # (S,) of all automata
    final: Any,  # (S,)
    chunk: Any,  # samples to do
    alpha: Any,  # (B, C + 1, S) −log of the sum over paths to a state after c cells, negated
    total: Any,  # (B,) −log Σ exp(−cost)
) -> None:
    """The forward algorithm: alpha[c, s] = log Σ over paths to s that read c cells of exp(−cost)."""
    longest = cost.shape[2]
    for b in chunk:
        q = which[b]
        low, high = first[q], first[q + 1]
        most = 0
        for s in range(low, high):
            alpha[b, 0, s - low] = -start[s]
            most = max(most, enter[s + 1] - enter[s])
        terms = np.empty(most * longest)
        for c in range(cells[b]):
            reach = min(longest, c + 1)
            for s in range(low, high):
                count, best = 0, -math.inf
                for l in range(reach):
                    for a in range(enter[s], enter[s + 1]):
                        value = alpha[b, c - l, source[a]] - cost[b, c, l, label[a]] - weight[a]
                        terms[count] = value
                        count += 1
                        best = max(best, value)
                if best == -math.inf:
                    alpha[b, c + 1, s - low] = best
                    continue
                summed = 0.0
                for i in range(count):
                    if terms[i] - best > _SMALL:
                        summed += math.exp(terms[i] - best)
                alpha[b, c + 1, s - low] = best + math.log(summed)
        end, best = cells[b], -math.inf
        for s in range(low, high):
            best = max(best, alpha[b, end, s - low] - final[s])
        if best == -math.inf:
            total[b] = math.inf
            continue
        summed = 0.0
        for s in range(low, high):
            summed += math.exp(alpha[b, end, s - low] - final[s] - best)
        total[b] = -best - math.log(summed)


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
    final: Any,
    chunk: Any,
    alpha: Any,
    total: Any,
    slope: Any,  # (B,) factor of each sample
    by_cost: Any,  # (B, C, L, K) zeros, and then the answer
    by_weight: Any,  # (A,) zeros, and then the answer
) -> None:
    """Share of the paths, weighed by exp(−cost), that use each cost and each arc: the gradient of `sum_paths`."""
    longest = cost.shape[2]
    for b in chunk:
        if total[b] == math.inf or slope[b] == 0.0:
            continue
        q = which[b]
        low, high = first[q], first[q + 1]
        share = np.zeros((cells[b] + 1, high - low))
        for s in range(low, high):
            share[cells[b], s - low] = math.exp(alpha[b, cells[b], s - low] - final[s] + total[b])
        for c in range(cells[b] - 1, -1, -1):
            reach = min(longest, c + 1)
            for s in range(low, high):
                here = share[c + 1, s - low]
                if here < 1e-300:
                    continue
                base = alpha[b, c + 1, s - low]
                for l in range(reach):
                    for a in range(enter[s], enter[s + 1]):
                        value = alpha[b, c - l, source[a]] - cost[b, c, l, label[a]] - weight[a] - base
                        if value > _SMALL:
                            used = here * math.exp(value)
                            share[c - l, source[a]] += used
                            by_cost[b, c, l, label[a]] += used * slope[b]
                            by_weight[a] += used * slope[b]


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
        q, count = which[b], cells[b]
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
                for l in range(reach):
                    for a in range(enter[s], enter[s + 1]):
                        value = best[c - l, source[a]] + cost[b, c, l, label[a]] + weight[a]
                        if value < least:
                            least, by, cells_of = value, a, l + 1
                best[c + 1, s - low], arc[c + 1, s - low], size[c + 1, s - low] = least, by, cells_of
        least, at = math.inf, -1
        for s in range(states):
            if best[count, s] + final[low + s] < least:
                least, at = best[count, s] + final[low + s], s
        total[b] = least
        c = count
        while at >= 0 and c > 0:
            a = arc[c, at]
            path[b, c - 1] = a
            c -= size[c, at]
            at = source[a]
