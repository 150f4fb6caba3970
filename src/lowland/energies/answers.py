"""The answers of least cost that an automaton writes for a row of cells, one after the other."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any

import numpy as np

from lowland.automata import Automaton


def least_answers(cost: Any, cells: int, automaton: Automaton, count: int) -> list[tuple[float, tuple[int, ...]]]:
    """The `count` answers whose best path costs least, with that cost, ascending; fewer if there are not so many.

    Best-first search over (cells read, state, letters so far), led by the exact least cost of the rest: each such node
    is left once, by the best path to it, so that the many alignments of one answer cost no more than one.

    Args:
        cost: (C, L, K) of label k for the piece of l + 1 cells that ends with a cell.
        cells: how many are read.
        automaton: which answers there are, and what its arcs cost.
        count: answers wanted.

    >>> from lowland.automata import pieces
    >>> least_answers(np.array([[[0.0, 1.0]], [[2.0, 0.0]]]), 2, pieces(2), 3)
    [(0.0, (0, 1)), (1.0, (1, 1)), (2.0, (0, 0))]
    """
    longest = cost.shape[1]
    rest = np.full((cells + 1, automaton.states), math.inf)
    rest[cells] = automaton.final
    for c in range(cells - 1, -1, -1):
        for piece in range(min(longest, cells - c)):
            value = cost[c + piece, piece, automaton.label] + automaton.weight + rest[c + piece + 1, automaton.target]
            np.minimum.at(rest[c], automaton.source, value)
    leaving = [np.flatnonzero(automaton.source == state) for state in range(automaton.states)]
    tie = itertools.count(0, -1)  # of equal ones the newest first, so that the search goes into the depth
    waiting: list[tuple[float, int, float, int, int, tuple[int, ...]]] = [
        (automaton.start[state] + rest[0, state], next(tie), float(automaton.start[state]), 0, state, ())
        for state in range(automaton.states)
        if math.isfinite(automaton.start[state] + rest[0, state])
    ]
    heapq.heapify(waiting)
    left: set[tuple[int, int, tuple[int, ...]]] = set()
    found: dict[tuple[int, ...], float] = {}
    while waiting and len(found) < count:
        through, _, spent, c, state, letters = heapq.heappop(waiting)
        if (c, state, letters) in left:
            continue
        left.add((c, state, letters))
        if c == cells:
            found.setdefault(letters, float(through))
            continue
        arcs = leaving[state]
        for piece in range(min(longest, cells - c)):
            costs = spent + cost[c + piece, piece, automaton.label[arcs]] + automaton.weight[arcs]
            ends = costs + rest[c + piece + 1, automaton.target[arcs]]
            for i in np.flatnonzero(np.isfinite(ends)):
                letter = int(automaton.output[arcs[i]])
                after = letters if letter < 0 else (*letters, letter)
                place = c + piece + 1, int(automaton.target[arcs[i]]), after
                if place not in left:
                    heapq.heappush(waiting, (ends[i], next(tie), costs[i], *place))
    return [(value, letters) for letters, value in found.items()]
