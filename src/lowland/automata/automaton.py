"""Weighted finite automata: arcs between states, each of which reads a label, may write a letter, and has a cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from lowland.errors import OptionError

Ints: TypeAlias = NDArray[np.int64]
Reals: TypeAlias = NDArray[np.float64]
_INTS = ("source", "label", "target", "output")


@dataclass(frozen=True, eq=False)
class Automaton:
    """States 0 … S − 1 and A arcs; a path goes from a start state along arcs to a final state.

    The cost of a path is that of its start, its arcs and its end; what it reads are the labels of its arcs, what it
    writes their letters. An automaton that writes what it reads accepts sequences (an acceptor); one that does not
    rewrites them (a transducer), as CTC merges repeated frames into letters.

    Args:
        source, target: (A,) states between which an arc goes.
        label: (A,) what it reads, from 0.
        output: (A,) the letter that it writes, from 0, or −1 for none. By default the label.
        weight: (A,) its cost; by default 0.
        start, final: (S,) costs of starting and ending in a state, +∞ where that is not allowed.
        origin: (A,) for the result of an operation, the arc of the first automaton that each arc comes from.

    Raises:
        OptionError: for arrays of different lengths, states that are not there, NaN or −∞, negative labels.

    >>> a = Automaton.of([(0, 0, 1), (1, 1, 1)], start=[0], final=[1])  # one 0, then any number of 1
    >>> a.states, a.arcs, a.accepts([0, 1, 1]), a.accepts([1])
    (2, 2, True, False)
    """

    source: Ints
    label: Ints
    target: Ints
    weight: Reals
    start: Reals
    final: Reals
    output: Ints = None  # pyright: ignore[reportAssignmentType]  # by default the label
    origin: Ints = None  # pyright: ignore[reportAssignmentType]  # by default the arc itself

    def __post_init__(self) -> None:
        count = len(self.source)
        given = {"output": self.label if self.output is None else self.output}
        given["origin"] = np.arange(count) if self.origin is None else self.origin
        for name in (*_INTS, "origin"):
            values = np.array(given.get(name, getattr(self, name))).reshape(-1)
            if values.dtype.kind not in "iub" and not (values == np.round(values)).all():
                raise OptionError(f"The {name} of an arc is a whole number, but some are not: {values[:5].tolist()}.")
            object.__setattr__(self, name, values.astype(np.int64))
        for name in ("weight", "start", "final"):
            object.__setattr__(self, name, np.array(getattr(self, name), np.float64).reshape(-1))
        lengths = {name: len(getattr(self, name)) for name in (*_INTS, "weight", "origin")}
        if len(set(lengths.values())) > 1 or len(self.start) != len(self.final):
            sizes = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise OptionError(
                f"The arrays of an automaton must have one number for each arc ({sizes}) or state (start "
                f"{len(self.start)}, final {len(self.final)})."
            )
        for name in ("source", "target"):
            ends = getattr(self, name)
            if count and not (ends.min() >= 0 and ends.max() < self.states):
                raise OptionError(
                    f"An arc has the {name} {int(ends.max())} or below 0, but the states are 0 … {self.states - 1}."
                )
        if count and (self.label.min() < 0 or self.output.min() < -1):
            raise OptionError("The labels of arcs count from 0, and outputs from −1, which is none.")
        for name in ("weight", "start", "final", *_INTS, "origin"):
            getattr(self, name).setflags(write=False)
        for name in ("weight", "start", "final"):
            costs = getattr(self, name)
            if np.isnan(costs).any() or (costs == -np.inf).any():
                raise OptionError(f"The {name} costs of an automaton must be numbers or +infinity.")

    @classmethod
    def of(cls, arcs: Iterable[Sequence[Any]], start: Any, final: Any, states: int | None = None) -> Automaton:
        """From a list of arcs (source, label, target), with a cost and an output behind if they have them.

        Args:
            arcs: (source, label, target[, cost[, output]]) each.
            start, final: states, or a dictionary of states and costs.
            states: S; by default as many as are named.
        """
        if isinstance(start, int) or isinstance(final, int):
            raise OptionError("Start and final states are a list, or a dictionary of states and costs: [0], not 0.")
        rows = [(*arc, 0.0)[:4] + ((arc[4],) if len(arc) > 4 else (arc[1],)) for arc in arcs]
        ends = [dict.fromkeys(given, 0.0) if not isinstance(given, dict) else given for given in (start, final)]
        named = [state for row in rows for state in (row[0], row[2])] + [state for given in ends for state in given]
        costs = np.full((2, states or 1 + max(map(int, named), default=0)), np.inf)
        for row, given in zip(costs, ends, strict=True):
            for state, cost in given.items():
                if not 0 <= state < len(row):
                    raise OptionError(f"There is no state {state}: they are 0 … {len(row) - 1}.")
                row[state] = cost
        columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0)] * 5
        source, label, target, weight, output = columns
        return cls(source, label, target, weight, costs[0], costs[1], output)

    @cached_property
    def arrivals(self) -> dict[str, Any]:
        """The arcs ordered by target, and how many enter each state: what sums over paths need of an automaton."""
        order = np.argsort(self.target, kind="stable")
        found = {name: getattr(self, name)[order] for name in ("source", "label", "weight", "origin")}
        return found | {"entering": np.bincount(self.target, minlength=self.states)}

    @property
    def states(self) -> int:
        """S."""
        return len(self.start)

    @property
    def arcs(self) -> int:
        """A."""
        return len(self.source)

    @property
    def labels(self) -> int:
        """Labels that arcs read: one more than the greatest."""
        return int(self.label.max(initial=-1)) + 1

    @property
    def letters(self) -> int:
        """Letters that arcs write: one more than the greatest."""
        return int(self.output.max(initial=-1)) + 1

    @property
    def empty(self) -> bool:
        """Whether there is no path at all."""
        return self.trim().states == 0

    def __deepcopy__(self, memo: Any) -> Automaton:
        return self  # nothing in it changes

    def __repr__(self) -> str:
        return f"Automaton({self.states} states, {self.arcs} arcs)"

    def take(self, arcs: NDArray[Any], states: NDArray[Any]) -> Automaton:
        """What is left with some arcs and states, given as masks; the states are numbered anew.

        Raises:
            OptionError: if an arc is kept, but not its states.
        """
        if not (states[self.source[arcs]].all() and states[self.target[arcs]].all()):
            raise OptionError("An arc is kept whose state is not: leave it out too.")
        number = np.cumsum(states) - 1
        kept = {name: getattr(self, name)[arcs] for name in ("label", "weight", "output", "origin")}
        source, target = number[self.source[arcs]], number[self.target[arcs]]
        return replace(self, source=source, target=target, start=self.start[states], final=self.final[states], **kept)

    def trim(self) -> Automaton:
        """Without the states and arcs that no path goes through."""
        able = np.isfinite(self.weight)
        source, target = self.source[able], self.target[able]
        begin = _reached(source, target, np.isfinite(self.start))
        end = _reached(target, source, np.isfinite(self.final))
        states = begin & end
        return self.take(able & states[self.source] & states[self.target], states)

    @property
    def ambiguous(self) -> bool:
        """Whether some sequence of labels is read by two paths, so that sums count it twice."""
        one = replace(self, output=self.label, origin=None).trim()
        ways = one.source * max(1, one.labels) + one.label
        if np.isfinite(one.start).sum() <= 1 and len(np.unique(ways)) == one.arcs:
            return False  # deterministic, as all languages are: a product of large ones would not fit into memory
        both = compose(one, one)
        # Beside each state with itself, none is left where no sequence has two ways.
        return both.states > one.states or both.arcs > one.arcs

    def accepts(self, letters: Sequence[int]) -> bool:
        """Whether some path writes these letters."""
        return not compose(self, spelling(letters)).empty


def _reached(source: Ints, target: Ints, first: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which states can be reached along arcs from the first ones."""
    states = len(first)
    begun = np.flatnonzero(first)
    row = np.concatenate([source, np.full(len(begun), states)])
    column = np.concatenate([target, begun])
    graph = sparse.csr_array((np.ones(len(row), np.int8), (row, column)), shape=(states + 1, states + 1))
    found = np.zeros(states + 1, bool)
    found[csgraph.breadth_first_order(graph, states, return_predecessors=False)] = True
    return found[:-1]


def spelling(letters: Sequence[int]) -> Automaton:
    """Accepts one sequence.

    >>> spelling([3, 1]).states
    3
    """
    count = len(letters)
    places, costs = np.arange(count), np.full((2, count + 1), np.inf)
    costs[0, 0] = costs[1, count] = 0.0
    return Automaton(places, np.asarray(letters, np.int64), places + 1, np.zeros(count), costs[0], costs[1])


def compose(first: Automaton, second: Automaton) -> Automaton:
    """Paths of the first that write what the second reads; costs add, and the second's letters are written.

    An arc of the first that writes nothing leaves the second where it is. With two acceptors this is their
    intersection. `origin` names the arc of the first automaton. The second must not read "nothing": each of its arcs
    reads a label.

    >>> even = Automaton.of([(0, 0, 1), (1, 0, 0), (0, 1, 0), (1, 1, 1)], start=[0], final=[0])  # even number of 0
    >>> short = spelling([0, 1, 0])
    >>> compose(even, short).arcs, compose(even, spelling([0, 1])).empty
    (3, True)
    """
    number = second.states
    order = np.argsort(second.label, kind="stable")
    bounds = np.searchsorted(second.label[order], np.arange(max(second.labels, first.letters) + 2))
    silent = first.output < 0
    writes = np.where(silent, 0, first.output)
    counts = np.where(silent, number, bounds[writes + 1] - bounds[writes])
    one = np.repeat(np.arange(first.arcs), counts)
    place = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts)
    quiet = silent[one]
    if second.arcs:
        other = order[np.minimum(bounds[writes[one]] + place, second.arcs - 1)]
        from_, to, cost, letter = second.source[other], second.target[other], second.weight[other], second.output[other]
    else:
        from_ = to = letter = np.zeros(len(one), np.int64)
        cost = np.zeros(len(one))
    from_, to = np.where(quiet, place, from_), np.where(quiet, place, to)
    found = Automaton(
        source=first.source[one] * number + from_,
        label=first.label[one],
        target=first.target[one] * number + to,
        weight=first.weight[one] + np.where(quiet, 0.0, cost),
        start=(first.start[:, None] + second.start).reshape(-1),
        final=(first.final[:, None] + second.final).reshape(-1),
        output=np.where(quiet, -1, letter),
        origin=first.origin[one],
    )
    return found.trim()


def union(*automata: Automaton) -> Automaton:
    """The paths of all of them side by side; what two of them accept has two paths then, and counts twice in a sum.

    >>> both = union(spelling([0]), spelling([1, 1]))
    >>> both.accepts([0]), both.accepts([1, 1]), both.accepts([1])
    (True, True, False)
    """
    if not automata:
        raise OptionError("A union needs at least one automaton.")
    shift = np.cumsum([0, *(each.states for each in automata)])
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(each, name) for each in automata])
        for name in ("label", "weight", "output", "start", "final")
    }
    for name in ("source", "target"):
        joined[name] = np.concatenate([getattr(each, name) + add for each, add in zip(automata, shift, strict=False)])
    return Automaton(**joined)
