"""The usual automata: frames as in CTC, chains of labels, and pieces in any order."""

from __future__ import annotations

import numpy as np

from lowland.automata.automaton import Automaton
from lowland.errors import OptionError


def _positive(count: int, what: str) -> None:
    if count < 1:
        raise OptionError(f"{what} needs at least one label, but it is {count}.")


def pieces(labels: int) -> Automaton:
    """Labels in any order, each written as it is read: one state.

    >>> pieces(3).accepts([2, 2, 0])
    True
    """
    _positive(labels, "pieces")
    every, none = np.arange(labels), np.zeros(labels, np.int64)
    return Automaton(none, every, none, np.zeros(labels), np.zeros(1), np.zeros(1))


def chain(labels: int, weight: np.ndarray | None = None) -> Automaton:
    """A label for each cell, in any order, with a cost for each pair of neighbours: a linear chain, or an HMM.

    State k < K is "the last label was k", and state K the start. The arcs to the first label come last, in the order of
    the labels; arc j·K + k goes from label j to label k.

    Args:
        labels: K.
        weight: (K, K) costs of label k after label j; by default 0.

    >>> chain(3).states, chain(3).arcs
    (4, 12)
    """
    _positive(labels, "chain")
    every = np.arange(labels)
    source, target = np.repeat(np.arange(labels + 1), labels), np.tile(every, labels + 1)
    costs = np.zeros(len(source))
    if weight is not None and np.shape(weight) != (labels, labels):
        raise OptionError(f"A chain of {labels} labels has costs ({labels}, {labels}), not {np.shape(weight)}.")
    if weight is not None:
        costs[: labels**2] = np.asarray(weight, np.float64).reshape(-1)
    start, final = np.full(labels + 1, np.inf), np.zeros(labels + 1)
    start[labels], final[labels] = 0.0, np.inf
    return Automaton(source, target, target, costs, start, final)


def frames(letters: int) -> Automaton:
    """The topology of connectionist temporal classification (CTC): frames of letters or of blanks, label 0.

    Letter k is written by the first of its frames, label k + 1, and a repeated letter needs a blank between. Source:
    Graves et al. 2006, section 3.

    Args:
        letters: K, without the blank.

    >>> frames(2).accepts([0, 0, 1]), frames(2).labels, frames(2).letters
    (True, 3, 2)
    """
    _positive(letters, "frames")
    states = np.arange(letters + 1)  # the last frame: blank, or a letter
    source, target = np.repeat(states, letters + 1), np.tile(states, letters + 1)
    written = np.where((target == 0) | (source == target), -1, target - 1)
    start = np.full(letters + 1, np.inf)
    start[0] = 0.0
    return Automaton(source, target, target, np.zeros(len(source)), start, np.zeros(letters + 1), written)


def ended(automaton: Automaton, label: int) -> Automaton:
    """The same sequences, with any number of cells left over behind them: these read a label, and write nothing.

    A lattice reads all cells of a sample. With this its answers may have fewer letters than cells.

    Args:
        automaton: what may be written.
        label: read by the cells that are left over; no arc of the automaton has it.

    Raises:
        OptionError: for a label that the automaton reads.

    >>> short = ended(pieces(2), label=2)
    >>> short.states, short.labels, short.letters, short.accepts([0, 1])
    (2, 3, 2, True)
    """
    if label < 0 or bool((automaton.label == label).any()):
        raise OptionError(f"The label of what is left over must be one that no arc reads, not {label}.")
    able, end = np.flatnonzero(np.isfinite(automaton.final)), automaton.states
    source, more = np.append(able, end), len(able) + 1
    return Automaton(
        source=np.concatenate([automaton.source, source]),
        label=np.concatenate([automaton.label, np.full(more, label)]),
        target=np.concatenate([automaton.target, np.full(more, end)]),
        weight=np.concatenate([automaton.weight, automaton.final[able], [0.0]]),
        start=np.append(automaton.start, np.inf),
        final=np.append(automaton.final, 0.0),
        output=np.concatenate([automaton.output, np.full(more, -1)]),
    )
