"""Captions of scenes of coloured shapes, made of phrases: what a grammar writes, and whether it is true of a scene."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from lowland.automata import Automaton, regular
from lowland.errors import OptionError, nearest

KINDS = {
    "square": ("square", "block"),
    "disc": ("disc", "circle"),
    "triangle": ("triangle",),
    "ring": ("ring", "hoop"),
    "cross": ("cross", "plus"),
}
"""The nouns of each kind of thing; they mean the same."""
COLOURS = ("red", "green", "blue", "yellow", "purple")
ON = {"grass": ("grass", "lawn"), "gravel": ("gravel", "stones")}
BEFORE = {"wall": ("wall", "bricks"), "sky": ("sky", "clouds"), "trees": ("trees", "leaves")}
GROUNDS = ON | BEFORE
"""The nouns of each background. Things lie on some, and in front of others."""
MOST_PHRASES = 6
"""Phrases of the longest caption."""


class Phrase(NamedTuple):
    """Words that belong together, and their kind: NP a noun with what describes it, VP a verb, PP, CC, EX "there"."""

    kind: str
    text: str


Caption: TypeAlias = tuple[Phrase, ...]


class Thing(NamedTuple):
    """A shape of a kind and a colour."""

    kind: str
    colour: str


class Described(NamedTuple):
    """What is in a scene, exactly: its things, from left to right, and its background."""

    things: tuple[Thing, ...]
    ground: str


_THINGS = {
    Phrase("NP", f"a {colour} {noun}"): Thing(kind, colour)
    for kind, nouns in KINDS.items()
    for noun in nouns
    for colour in COLOURS
}
_GROUNDS = {Phrase("NP", f"the {noun}"): ground for ground, nouns in GROUNDS.items() for noun in nouns}
_LEFT, _RIGHT = Phrase("PP", "left of"), Phrase("PP", "right of")
# What each letter of the grammar may be written as.
_LETTERS: dict[str, tuple[Phrase, ...]] = {
    "T": tuple(_THINGS),
    "g": tuple(phrase for phrase, ground in _GROUNDS.items() if ground in ON),
    "h": tuple(phrase for phrase, ground in _GROUNDS.items() if ground in BEFORE),
    "i": (Phrase("VP", "is"),),
    "l": (Phrase("VP", "lies"),),
    "a": (Phrase("VP", "are"),),
    "L": (Phrase("VP", "lie"),),
    "e": (Phrase("EX", "there is"),),
    "E": (Phrase("EX", "there are"),),
    "&": (Phrase("CC", "and"),),
    "r": (_LEFT, _RIGHT),
    "o": (Phrase("PP", "on"),),
    "f": (Phrase("PP", "in front of"), Phrase("PP", "before")),
}
_LETTER = {phrase: letter for letter, phrases in _LETTERS.items() for phrase in phrases}
_ONE, _TWO = ("T", "Ti", "Tl", "eT"), ("T&T", "T&Ta", "T&TL", "ET&T", "TirT")
_BARE, _PASSED_OVER = "bare", 0.15
GRAMMAR = f"({'|'.join((*_ONE, *_TWO))})(og|fh)|TirT"
"""A regular expression: one thing or two, where they are, and what they are on or in front of."""


def phrases() -> list[Phrase]:
    """All phrases that the grammar can write.

    >>> len(phrases()), phrases()[0].text
    (67, 'a red square')
    """
    return [phrase for some in _LETTERS.values() for phrase in some]


def words(caption: Iterable[Phrase]) -> list[str]:
    """The words of a caption, one behind the other."""
    return [word for phrase in caption for word in phrase.text.split()]


def caption_of(text: str) -> Caption:
    """The phrases of a text, of which the longest that fits is taken each time.

    Raises:
        OptionError: for a word that begins no phrase.

    >>> [phrase.kind for phrase in caption_of("a red ring is left of a blue disc")]
    ['NP', 'VP', 'PP', 'NP']
    """
    known = {phrase.text: phrase for phrase in phrases()}
    found, rest = [], text.split()
    while rest:
        size = next((size for size in (3, 2, 1) if " ".join(rest[:size]) in known), None)
        if size is None:
            raise OptionError(f"No phrase begins with {rest[0]!r}. {nearest(rest[0], known)}")
        found.append(known[" ".join(rest[:size])])
        rest = rest[size:]
    return tuple(found)


def grammatical(caption: Sequence[Phrase]) -> bool:
    """Whether the grammar accepts a caption.

    >>> [grammatical(caption_of(f"a red ring {verb} on the lawn")) for verb in ("lies", "lie", "lies lies")]
    [True, False, False]
    """
    return all(phrase in _LETTER for phrase in caption) and _accepts("".join(_LETTER[phrase] for phrase in caption))


@functools.cache
def _accepts(letters: str) -> bool:
    return _automaton().accepts(["".join(_LETTERS).index(letter) for letter in letters])


@functools.cache
def _automaton() -> Automaton:
    return regular(GRAMMAR, "".join(_LETTERS))


def fits(phrase: Phrase, scene: Described) -> bool | None:
    """Whether a noun phrase names something of a scene; None for another phrase, which names nothing alone.

    >>> scene = Described((Thing("ring", "red"),), "grass")
    >>> [fits(phrase, scene) for phrase in caption_of("a red hoop is on the stones")]
    [True, None, None, False]
    """
    if phrase in _THINGS:
        return _THINGS[phrase] in scene.things
    return _GROUNDS[phrase] == scene.ground if phrase in _GROUNDS else None


def true_of(caption: Sequence[Phrase], scene: Described) -> bool:
    """Whether a caption is grammatical and all that it says is so: things, where they are, and the background.

    Two things that are named must be different ones. What is not said makes nothing false.

    >>> scene = Described((Thing("ring", "red"), Thing("disc", "blue")), "grass")
    >>> [true_of(caption_of(f"a red ring is {side} of a blue circle"), scene) for side in ("left", "right")]
    [True, False]
    """
    if not grammatical(caption) or not all(fits(phrase, scene) is not False for phrase in caption):
        return False
    places = [scene.things.index(_THINGS[phrase]) for phrase in caption if phrase in _THINGS]
    if len(set(places)) < len(places):
        return False
    if _LEFT in caption:
        return places[0] < places[1]
    return places[0] > places[1] if _RIGHT in caption else True


def named(caption: Iterable[Phrase], scene: Described) -> int:
    """How many of the things of a scene a caption names."""
    return len({_THINGS[phrase] for phrase in caption if phrase in _THINGS} & set(scene.things))


def template(scene: Described) -> Caption:
    """The same sentence for every scene of one thing, and for every scene of two: the first nouns, and "left of".

    >>> " ".join(words(template(Described((Thing("ring", "red"),), "wall"))))
    'a red ring is in front of the wall'
    """
    return _written("Ti" if len(scene.things) == 1 else "TirT", scene, scene.things, None)


def describe(scene: Described, draw: np.random.Generator) -> Caption:
    """A true caption of a scene, at random: which sentence, in which order, and by which of the nouns.

    Of two things one is passed over now and then.

    >>> scene = Described((Thing("ring", "red"), Thing("disc", "blue")), "grass")
    >>> " ".join(words(describe(scene, np.random.default_rng(0))))
    'there are a red ring and a blue disc on the grass'
    """
    things = [scene.things[place] for place in draw.permutation(len(scene.things))]
    if draw.random() < _PASSED_OVER:
        things = things[:1]
    forms = _ONE if len(things) == 1 else (*_TWO, _BARE)
    return _written(forms[draw.integers(len(forms))], scene, things, draw)


def _written(form: str, scene: Described, things: Sequence[Thing], draw: np.random.Generator | None) -> Caption:
    """A sentence of these things in this order; without a generator by the first of its phrases."""
    order = [scene.things.index(thing) for thing in things]
    letters = "TirT" if form == _BARE else form + ("og" if scene.ground in ON else "fh")
    rest, found = iter(things), []
    for letter in letters:
        some = _LETTERS[letter]
        if letter == "T":
            thing = next(rest)
            some = tuple(phrase for phrase in some if _THINGS[phrase] == thing)
        elif letter in "gh":
            some = tuple(phrase for phrase in some if _GROUNDS[phrase] == scene.ground)
        elif letter == "r":
            some = (_LEFT if order[0] < order[1] else _RIGHT,)
        found.append(some[0 if draw is None else draw.integers(len(some))])
    return tuple(found)
