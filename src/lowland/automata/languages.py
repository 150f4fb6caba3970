"""Automata of what a user may write: a regular expression, a list of words, or n-grams of examples or of their classes.

They are deterministic, so that each sequence has one path and is counted once.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence

import numpy as np

from lowland.automata.automaton import Automaton, compose
from lowland.automata.expressions import Positions, parse
from lowland.errors import DomainError, OptionError, nearest

LARGEST = 50_000
"""Most states of an automaton that is made from an expression."""
_BEGIN = -1


def regular(expression: str, alphabet: Sequence[str]) -> Automaton:
    r"""Accepts the texts that a regular expression matches as a whole; letter k is the k-th of the alphabet.

    Known are letters, `.`, classes such as [0-9,] and [^x], \d, \w and \s, groups (…), |, and the repetitions *, +, ?,
    {m}, {m,} and {m,n}; \ before any other character means that character.

    Raises:
        OptionError: for an expression that cannot be read or is too large, with the place.
        DomainError: if it names a letter that the alphabet lacks, or no text of the alphabet matches.

    >>> price = regular(r"[1-9][0-9]*(\.[0-9]{2})?", "0123456789.")
    >>> [price.accepts(["0123456789.".index(c) for c in text]) for text in ("70.25", "7", "07", "7.2")]
    [True, True, False, False]
    """
    positions = parse(expression, check_alphabet(alphabet))
    found = _minimised(*_deterministic(positions))
    if found.empty:
        raise DomainError(f"No text of the alphabet matches {expression!r}.")
    return found


def words(texts: Iterable[str], alphabet: Sequence[str], weights: Iterable[float] | None = None) -> Automaton:
    """Accepts the words of a list.

    Args:
        texts: the words; a repeated one counts once.
        alphabet: letter k is its k-th character.
        weights: the cost of each word, such as −log of its frequency; by default 0 for all.

    Raises:
        DomainError: for an empty list, or a word with a letter that the alphabet lacks.

    >>> days = words(["mon", "sun"], "mnosu")
    >>> days.states, days.accepts(["mnosu".index(c) for c in "sun"])
    (5, True)
    """
    _check_list(texts)
    number, listed = {letter: k for k, letter in enumerate(check_alphabet(alphabet))}, list(texts)
    costs = [0.0] * len(listed) if weights is None else list(weights)
    if not listed or len(costs) != len(listed):
        raise DomainError(f"A list of words needs words, and a cost for each: {len(listed)} words, {len(costs)} costs.")
    table: list[dict[int, int]] = [{}]
    final: dict[int, float] = {}
    for word, cost in zip(listed, costs, strict=True):
        state = 0
        for letter in spell(word, number):
            if letter not in table[state]:
                table[state][letter] = len(table)
                table.append({})
            state = table[state][letter]
        final[state] = min(cost, final.get(state, math.inf))
    if weights is None:
        return _minimised(table, set(final))
    return _automaton(table, final)


def ngrams(
    texts: Iterable[Sequence[str]], alphabet: Sequence[str], order: int = 2, discount: float = 0.75
) -> Automaton:
    """Any text of the alphabet at the cost −log p(text) under n-grams of letters, learned from examples.

    p(k | context) = (max(c − d, 0) + d·n₊ p(k | shorter context)) / Σ c, with n₊ the letters seen after the context:
    absolute discounting with interpolation; the shortest context is empty, and below it all letters are equally likely.
    The start and the end of a text are letters of their own. Source: Ney, Essen & Kneser 1994.

    Args:
        texts: examples; lists of words or phrases, where a letter of the alphabet is one.
        alphabet: letter k is its k-th character, word or phrase.
        order: n, letters of a context plus one.
        discount: d, in (0, 1).

    Raises:
        OptionError: for an order below 1, or a discount outside (0, 1).
        DomainError: for no examples, or one with a letter that the alphabet lacks.

    >>> common = ngrams(["abab", "aba"], "ab")
    >>> common.states  # after nothing, a, b, and at the start
    4
    """
    if order < 1 or not 0 < discount < 1:
        raise OptionError(f"n-grams need an order of at least 1 and a discount in (0, 1), not {order} and {discount}.")
    _check_list(texts)
    number = {letter: k for k, letter in enumerate(_different(alphabet))}
    listed, end = [spell(text, number) for text in texts], len(number)
    if not listed:
        raise DomainError("n-grams need at least one example to learn from.")
    counts: dict[tuple[int, ...], Counter[int]] = {}
    for text in listed:
        for i, letter in enumerate([*text, end]):
            past = [_BEGIN, *text[:i]]
            for size in range(min(order, i + 2)):
                counts.setdefault(tuple(past[len(past) - size :]), Counter())[letter] += 1

    def shares(context: tuple[int, ...]) -> np.ndarray:
        below = np.full(end + 1, 1 / (end + 1)) if not context else shares(context[1:])
        seen = counts.get(context)
        if seen is None:
            return below
        cut = np.array([max(seen[letter] - discount, 0.0) for letter in range(end + 1)])
        return (cut + discount * len(seen) * below) / sum(seen.values())

    state = {context: i for i, context in enumerate(counts)}
    arcs = []
    final = {}
    for context, here in state.items():
        cost = -np.log(shares(context))
        for letter in range(end):
            after = (*context, letter)[-(order - 1) :] if order > 1 else ()
            while after not in state:
                after = after[1:]
            arcs.append((here, letter, state[after], cost[letter]))
        final[here] = float(cost[end])
    return Automaton.of(arcs, [state[(_BEGIN,) if order > 1 else ()]], final, len(state))


def classes(language: Automaton, members: Sequence[int]) -> Automaton:
    """Sequences of letters at the cost that their classes have in a language; letters of one class cost the same.

    With n-grams of classes, a letter that no example has costs what others of its class do. Source: Brown et al.,
    "Class-based n-gram models of natural language" (1992), section 3, without the share of a letter in its class.

    Args:
        language: of the classes.
        members: (K,) the class of each letter.

    >>> either = classes(words(["abb"], "ab"), [0, 1, 1])  # letters 1 and 2 both are a b
    >>> either.accepts([0, 1, 2]), either.accepts([1, 0, 0])
    (True, False)
    """
    same, every = np.zeros(len(members), np.int64), np.arange(len(members))
    named = Automaton(same, every, same, np.zeros(len(members)), np.zeros(1), np.zeros(1), np.asarray(members))
    found = compose(named, language)
    return dataclasses.replace(found, output=found.label, origin=np.arange(found.arcs))


def check_alphabet(alphabet: Sequence[str]) -> list[str]:
    """The letters as a list; an OptionError if they are not single different characters."""
    letters = list(alphabet)
    if not letters or len(set(letters)) < len(letters) or any(len(letter) != 1 for letter in letters):
        raise OptionError(f"An alphabet is a list of different single characters, not {alphabet!r}.")
    return letters


def _different(alphabet: Sequence[str]) -> list[str]:
    letters = list(alphabet)
    if not letters or len(set(letters)) < len(letters):
        raise OptionError(f"An alphabet is a list of different characters, words or phrases, not {alphabet!r}.")
    return letters


def _check_list(texts: Iterable[Sequence[str]]) -> None:
    if isinstance(texts, str):
        raise OptionError(f"A list of texts is needed, but {texts[:20]!r} is one: put it into a list.")


def spell(text: Sequence[str], number: dict[str, int]) -> list[int]:
    """The numbers of the letters of a text; a DomainError that names the ones that the alphabet lacks."""
    missing = sorted({letter for letter in text if letter not in number})
    if missing:
        raise DomainError(
            f"{text!r} has {', '.join(map(repr, missing))}, which the alphabet lacks. {nearest(missing[0], number)}"
        )
    return [number[letter] for letter in text]


def _deterministic(positions: Positions) -> tuple[list[dict[int, int]], set[int]]:
    """The automaton of sets of positions, as a table of next states, and its final states."""
    begin = frozenset([-1])
    number, table, final = {begin: 0}, [dict[int, int]()], set[int]()
    waiting = deque([begin])
    while waiting:
        group = waiting.popleft()
        here = number[group]
        if any(place in positions.last or (place < 0 and positions.optional) for place in group):
            final.add(here)
        after: dict[int, set[int]] = {}
        for place in group:
            for following in positions.first if place < 0 else positions.follow[place]:
                for letter in positions.letters[following]:
                    after.setdefault(letter, set()).add(following)
        for letter, places in after.items():
            key = frozenset(places)
            if key not in number:
                if len(number) == LARGEST:
                    raise OptionError(f"The expression needs more than {LARGEST} states: make it simpler.")
                number[key] = len(number)
                table.append({})
                waiting.append(key)
            table[here][letter] = number[key]
    return table, final


def _minimised(table: list[dict[int, int]], final: set[int]) -> Automaton:
    """The smallest automaton with the same texts: states that nothing tells apart are joined (Moore)."""
    kind = np.array([state in final for state in range(len(table))], np.int64)
    while True:
        seen: dict[tuple[object, ...], int] = {}
        rows = [
            (kind[state], *sorted((letter, kind[after]) for letter, after in arcs.items()))
            for state, arcs in enumerate(table)
        ]
        fresh = np.array([seen.setdefault(row, len(seen)) for row in rows])
        if len(seen) == len(set(kind.tolist())):
            break
        kind = fresh
    joined: list[dict[int, int]] = [{} for _ in seen]
    for state, arcs in enumerate(table):
        joined[fresh[state]] = {letter: int(fresh[after]) for letter, after in arcs.items()}
    return _automaton(joined, {int(fresh[state]): 0.0 for state in final}, int(fresh[0]))


def _automaton(table: list[dict[int, int]], final: dict[int, float], start: int = 0) -> Automaton:
    arcs = [(state, letter, after) for state, row in enumerate(table) for letter, after in row.items()]
    return Automaton.of(arcs, [start], final, len(table)).trim()
