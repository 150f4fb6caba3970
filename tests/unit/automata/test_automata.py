"""Operations and languages of automata, against Python's own regular expressions and counts by hand."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Sequence

import numpy as np
import pytest

from lowland.automata import (
    Automaton,
    chain,
    classes,
    compose,
    ended,
    frames,
    ngrams,
    pieces,
    regular,
    spelling,
    union,
    words,
)
from lowland.automata.automaton import Automaton as Same
from lowland.errors import DomainError, OptionError

ALPHABET = "ab1."


def expression(draw: random.Random, depth: int = 0) -> str:
    """A random regular expression."""
    kind = draw.random()
    if depth > 3 or kind < 0.4:
        return draw.choice(["a", "b", "1", r"\.", ".", "[ab]", "[^a]", "[a-b1]", "[.a]", r"\d", r"\w", "[]a]"])
    inner = expression(draw, depth + 1)
    if kind < 0.6:
        return inner + expression(draw, depth + 1)
    if kind < 0.8:
        return f"({inner}|{expression(draw, depth + 1) if kind < 0.75 else ''})"
    return f"({inner})" + draw.choice(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "{0}"])


def test_expressions_match_what_python_matches() -> None:
    draw = random.Random(0)
    texts = ["".join(text) for count in range(5) for text in itertools.product(ALPHABET, repeat=count)]
    tried = 0
    for _ in range(150):
        pattern = expression(draw)
        if "]a" in pattern:
            continue  # names a letter that the alphabet lacks
        try:
            automaton = regular(pattern, ALPHABET)
        except DomainError:
            assert not any(re.fullmatch(pattern, text) for text in texts)
            continue
        for text in draw.sample(texts, 30):
            accepted = automaton.accepts([ALPHABET.index(letter) for letter in text])
            assert accepted == bool(re.fullmatch(pattern, text)), (pattern, text)
        tried += 1
    assert tried > 80


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("a)", r"has a \) without a \(, at character 2"), ("(a", r"has a \( without a \)"), ("*a", "nothing before it"),
        ("a**", "repeats a repetition"), ("a{2", r"a \{ that is not"), ("a{3,1}", "second number is below its first"),
        ("[ab", "ends too early"), ("[b-a]", "whose end is before its start"), ("a\\", "ends too early"),
        ("(a{60}){60}", "more than 2000 letters"), ("(){3000000}", "more than 2000 times"), (r"\D", "none of"),
        ("(" * 300 + "a" + ")" * 300, "more than 100 groups"), (r"[a-\d]", "range that ends in"),
    ],
)  # fmt: skip
def test_expressions_that_cannot_be_read(pattern: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        regular(pattern, "ab")


def test_languages_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(DomainError, match="names 'c', which the alphabet lacks"):
        regular("abc", "ab")
    with pytest.raises(DomainError, match="No text of the alphabet matches"):
        regular("[^ab]", "ab")
    with pytest.raises(DomainError, match="'sun' has 'n', 's', 'u'"):
        words(["sun"], "ab")
    with pytest.raises(DomainError, match="needs words"):
        words([], "ab")
    with pytest.raises(OptionError, match="different single characters"):
        words(["a"], "aa")
    with pytest.raises(OptionError, match="order of at least 1"):
        ngrams(["ab"], "ab", order=0)


def cost_of(automaton: Automaton, letters: list[int]) -> float:
    """The cost of the only path that writes these letters."""
    one = compose(automaton, spelling(letters))
    assert one.arcs == len(letters)
    ends = one.start[np.isfinite(one.start)].sum() + one.final[np.isfinite(one.final)].sum()
    return float(one.weight.sum() + ends)


def test_ngrams_are_probabilities() -> None:
    """After any context the letters and the end sum to 1, and frequent texts cost less."""
    model = ngrams(["abab", "aba", "ab"], "ab", order=3)
    for state in range(model.states):
        leaving = model.weight[model.source == state]
        assert np.exp(-leaving).sum() + math.exp(-model.final[state]) == pytest.approx(1.0)
    assert cost_of(model, [0, 1]) < cost_of(model, [1, 0]) < cost_of(model, [1, 1, 1])


def test_words_keep_their_costs() -> None:
    listed = words(["ab", "a"], "ab", weights=[2.0, 0.5])
    assert (cost_of(listed, [0, 1]), cost_of(listed, [0])) == (2.0, 0.5)


def test_composition_adds_costs_and_names_where_arcs_come_from() -> None:
    first = Automaton.of([(0, 0, 0, 1.0), (0, 1, 1, 2.0), (1, 0, 1, 4.0)], {0: 0.5}, {1: 0.25})
    second = Automaton.of([(0, 0, 1, 10.0), (1, 1, 2, 20.0)], [0], [2])
    both = compose(first, second)
    assert both.weight.tolist() == [11.0, 22.0]
    assert both.origin.tolist() == [0, 1]
    assert both.start[np.isfinite(both.start)].tolist() == [0.5]


def test_frames_of_an_answer_are_two_states_a_letter_and_one() -> None:
    """Blank, letter, blank, …: the lattice of CTC (Graves et al. 2006, section 4.1); both ends of it are final."""
    one = compose(frames(3), spelling([0, 1, 1]))
    assert one.states == 7
    assert int(np.isfinite(one.final).sum()) == 2


def test_union_and_trim() -> None:
    both = union(spelling([0]), Automaton.of([(0, 1, 1), (0, 2, 2)], [0], [1]))
    assert both.accepts([1])
    assert not both.accepts([2])
    assert both.trim().states == 4
    with pytest.raises(OptionError, match="at least one"):
        union()


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (([0], [0], [2], [0.0], [0.0], [0.0]), "target 2"), (([0], [0, 1], [0], [0.0], [0.0], [0.0]), "label 2"),
        (([0], [-1], [0], [0.0], [0.0], [0.0]), "count from 0"), (([0], [0], [0], [math.nan], [0.0], [0.0]), "weight"),
        (([0], [0], [0], [0.0], [0.0], [0.0, 0.0]), "final 2"),
    ],
)  # fmt: skip
def test_automata_that_are_none(arrays: tuple[list[float], ...], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Same(*(np.array(each) for each in arrays))


def test_chain_numbers_its_arcs_by_pairs() -> None:
    pairs = chain(3, np.arange(9.0).reshape(3, 3))
    arc = np.flatnonzero((pairs.source == 1) & (pairs.target == 2))
    assert arc.tolist() == [5]
    assert pairs.weight[5] == 5.0


def test_ambiguity() -> None:
    """What two paths read would count twice."""
    assert union(regular("a|ab", "ab"), regular("a", "ab")).ambiguous
    assert Automaton.of([(0, 0, 1), (0, 0, 1)], [0], [1]).ambiguous
    assert not regular("(a|ab)*", "ab").ambiguous
    many = words([f"{number:05d}" for number in range(0, 40_000, 7)], "0123456789", weights=[1.0] * 5715)
    assert not many.ambiguous
    assert not union(spelling([0]), spelling([1])).ambiguous


def test_nothing_that_an_automaton_is_made_of_changes_it() -> None:
    weight = np.zeros(1)
    one = Automaton(np.array([0]), np.array([0]), np.array([0]), weight, np.zeros(1), np.zeros(1))
    weight[0] = 5.0
    assert one.weight.tolist() == [0.0]
    with pytest.raises(ValueError, match="read-only"):
        one.weight[0] = 1.0


def test_more_automata_that_are_none() -> None:
    with pytest.raises(OptionError, match="no state -2"):
        Automaton.of([(0, 0, 1)], [-2], [1])
    with pytest.raises(OptionError, match="is a whole number"):
        Automaton.of([(0, 0.7, 1)], [0], [1])
    with pytest.raises(OptionError, match="whose state is not"):
        spelling([0, 1]).take(np.array([True, True]), np.array([True, True, False]))
    with pytest.raises(OptionError, match="put it into a list"):
        words("mon", "mno")
    with pytest.raises(OptionError, match="has costs"):
        chain(3, np.zeros((2, 2)))
    assert Automaton.of([(0, 0, 0, 0.0, -1)], [0], [0]).accepts([])


def test_phrases_are_letters_where_texts_are_lists() -> None:
    letters = ngrams(["abab", "aba"], "ab", order=3)
    phrases = ngrams([["a dog", "is"] * 2, ["a dog", "is", "a dog"]], ["a dog", "is"], order=3)
    np.testing.assert_array_equal(phrases.weight, letters.weight)
    np.testing.assert_array_equal(phrases.target, letters.target)
    with pytest.raises(OptionError, match="different characters, words or phrases"):
        ngrams([["a", "b"]], ["a", "a"])
    with pytest.raises(DomainError, match="a cat"):
        ngrams([["a cat"]], ["a dog"])


def test_letters_cost_what_their_class_costs() -> None:
    """Every text of three letters, against the costs of the classes of its letters."""
    language = ngrams(["aba", "abb", "a"], "ab", order=2)
    members = [1, 0, 1]
    wide = classes(language, members)
    for letters in itertools.product(range(3), repeat=3):
        assert _cost(wide, letters) == pytest.approx(_cost(language, [members[k] for k in letters]))


def _cost(automaton: Automaton, letters: Sequence[int]) -> float:
    """Of a text that has one path."""
    one = compose(automaton, spelling(letters))
    return float(one.weight.sum() + one.start.min() + one.final.min())


def test_cells_are_left_over_behind_the_end_alone() -> None:
    short = ended(regular("ab?", "ab"), label=2)
    reads = {letters for length in range(4) for letters in itertools.product(range(3), repeat=length)
             if not compose(spelling(letters), short).empty}  # fmt: skip
    assert reads == {(0,), (0, 1), (0, 2), (0, 1, 2), (0, 2, 2)}
    costly = Automaton.of([(0, 0, 1, 2.0)], [0], {1: 3.0})
    assert sorted(ended(costly, 1).weight.tolist()) == [0.0, 2.0, 3.0]
    with pytest.raises(OptionError, match="no arc reads"):
        ended(pieces(2), label=1)
