"""Captions as paths of least energy: phrases that fit an image, in the order of a language model (system V14)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.automata import Automaton, classes, ended, ngrams, regular
from lowland.data.caption_grammar import COLOURS, GROUNDS, KINDS, Caption, Described, Phrase, Thing
from lowland.data.captioned_scenes import SIDE, CaptionedScenes
from lowland.energies.base import Energy
from lowland.energies.bits import Bits
from lowland.energies.lattice import Lattice
from lowland.errors import DataError, OptionError
from lowland.inference import infer
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.layers import evaluating
from lowland.nn.phrases import PhraseCosts, PhraseScores, SlotCosts
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.training.fit import FitResult, fit
from lowland.training.schedules import falling

_MAPS = (32, 64, 128)
_DECAY, _AT_ONCE = 1e-3, 256
_SHAPE = (3, SIDE, SIDE)
# Attributes of a scene, from left to right: a letter each, "-" for a thing that is not there.
_KINDS, _COLOURS, _GROUNDS = ("abcde", "ABCDE", "12345")
_LETTERS = f"{_COLOURS}{_KINDS}{_GROUNDS}-"
_SLOTS = 5


class Lexicon(NamedTuple):
    """K phrases that may be said.

    `classes` (K,) are the names of their classes, and `seen` (K,) says whether captions have them.
    """

    phrases: tuple[Phrase, ...]
    classes: tuple[str, ...]
    seen: tuple[bool, ...]

    def heard(self) -> Lexicon:
        """The phrases that captions have, alone."""
        rows = [row for row, seen in enumerate(self.seen) if seen]
        some = tuple(self.phrases[row] for row in rows), tuple(self.classes[row] for row in rows)
        return Lexicon(*some, (True,) * len(rows))

    def words(self) -> Tensor:
        """How often each word is in each phrase, (K, V)."""
        every = sorted({word for phrase in self.phrases for word in phrase.text.split()})
        return torch.tensor([[phrase.text.split().count(word) for word in every] for phrase in self.phrases]).float()

    def said(self, captions: Sequence[Iterable[Caption]]) -> Tensor:
        """Which phrases some caption of each scene has, (N, K) of zeros and ones; others are passed over."""
        number = {phrase: k for k, phrase in enumerate(self.phrases)}
        found = torch.zeros(len(captions), len(number))
        for row, own in enumerate(captions):
            for phrase in itertools.chain.from_iterable(own):
                if phrase in number:
                    found[row, number[phrase]] = 1.0
        return found


def lexicon(captions: Iterable[Caption]) -> Lexicon:
    """The phrases of captions, and those that come of exchanging words between phrases of one kind and length.

    Where such phrases differ in at least two places, they are a class, with a phrase for each choice of words: from "a
    red disc" and "a blue ring" comes "a blue disc". The share of a phrase in its class is the product of the shares of
    its words. Any other phrase is a class of its own.

    Raises:
        DataError: for no captions.

    >>> found = lexicon([(Phrase("NP", "a red disc"), Phrase("NP", "a blue ring"), Phrase("PP", "on"))])
    >>> [phrase.text for phrase, seen in zip(found.phrases, found.seen) if not seen]
    ['a red ring', 'a blue disc']
    """
    seen = dict.fromkeys(phrase for caption in captions for phrase in caption)
    if not seen:
        raise DataError("A lexicon needs captions to take its phrases from.")
    groups: dict[tuple[str, int], list[Phrase]] = {}
    for phrase in seen:
        groups.setdefault((phrase.kind, len(phrase.text.split())), []).append(phrase)
    rows: dict[Phrase, str] = {}
    for (kind, length), own in groups.items():
        places = [list(dict.fromkeys(place)) for place in zip(*(phrase.text.split() for phrase in own), strict=True)]
        if sum(len(place) > 1 for place in places) < 2:
            rows |= {phrase: phrase.text for phrase in own}
        else:
            mixed = (Phrase(kind, " ".join(chosen)) for chosen in itertools.product(*places))
            rows |= dict.fromkeys(mixed, f"{kind} of {length} words")
    return Lexicon(tuple(rows), tuple(rows.values()), tuple(phrase in seen for phrase in rows))


def phrase_order(known: Lexicon, captions: Iterable[Caption], order: int = 3, weight: float = 1.0) -> Automaton:
    """Sequences of phrases at the cost −λ log p(phrases) under n-grams of their classes, and any cells left over.

    Args:
        known: the phrases.
        captions: examples, of these phrases alone.
        order: n, phrases of a context plus one.
        weight: λ.

    Raises:
        OptionError: for a weight that is not positive.

    >>> known = lexicon([(Phrase("EX", "there is"), Phrase("NP", "a disc"))])
    >>> phrase_order(known, [(Phrase("EX", "there is"), Phrase("NP", "a disc"))]).letters
    2
    """
    if not weight > 0:
        raise OptionError(f"The weight of a language model must be positive, not {weight}.")
    names = list(dict.fromkeys(known.classes))
    of = dict(zip(known.phrases, known.classes, strict=True))
    language = ngrams([[of[phrase] for phrase in caption] for caption in captions], names, order)
    found = classes(language, [names.index(name) for name in known.classes])
    scaled = {name: weight * getattr(found, name) for name in ("weight", "start", "final")}
    return ended(dataclasses.replace(found, **scaled), len(known.phrases))


def phrase_energy(
    known: Lexicon, own_vectors: bool = False, places: bool = True, generator: torch.Generator | None = None
) -> Bits:
    """E(x, y) = −Σ_k y_k f_k(x): which phrases are said of a scene x; f is a `PhraseScores`.

    Args:
        known: the phrases.
        own_vectors: whether each phrase has a vector of its own, and not the sum of those of its words.
        places: whether a phrase is at a place of the image.
        generator: draws the weights.
    """
    generator = generator or torch.Generator().manual_seed(0)
    words = torch.eye(len(known.phrases)) if own_vectors else known.words()
    scores = PhraseScores(ConvNet(_SHAPE, _MAPS, generator=generator), words, places, generator)
    return Bits(scores, _SHAPE, (len(known.phrases),))


def train_phrases(
    energy: Bits,
    known: Lexicon,
    scenes: CaptionedScenes,
    steps: int,
    batch: int = 32,
    rate: float = 3e-3,
    seed: int = 0,
) -> FitResult:
    """Train an energy of `phrase_energy` in place: those of the phrases that some caption of a scene has are said.

    The others are its negatives, but for phrases that no caption at all has: that they are never said of a red thing
    would teach that a red thing is none of theirs.

    Args:
        energy: of the phrases.
        known: the phrases.
        scenes: with their captions.
        steps, batch, rate, seed: see `train_on_scenes`.
    """
    scores, seen = energy.network, torch.tensor(known.seen)
    assert isinstance(scores, PhraseScores)
    heard = Bits(scores.of(seen), _SHAPE, (int(seen.sum()),))
    return train_on_scenes(heard, scenes.pixels(), known.said(scenes.captions)[:, seen], steps, batch, rate, seed)


def caption_energy(energy: Bits, order: Automaton, most: int) -> Lattice:
    """E(x, y) = −Σ_t f_{y_t}(x) − λ log p(y): y a sequence of phrases, which is a path through `phrase_order`.

    The weights are those of `energy`, not a copy.

    Args:
        energy: of `phrase_energy`.
        order: of `phrase_order`.
        most: phrases of a caption, at most.
    """
    scores = energy.network
    assert isinstance(scores, PhraseScores)
    return Lattice(PhraseCosts(scores, most), order, most)


def attribute_energy(generator: torch.Generator | None = None) -> Lattice:
    """E(x, y) = Σ_t c_t(x)[y_t]: y the colours and kinds of the things of a scene x, left to right, and its background.

    A grammar says which letter may be where, so that each attribute is a softmax of its own. A thing that is not there
    has no colour and no kind.
    """
    generator = generator or torch.Generator().manual_seed(0)
    thing = f"[{_COLOURS}][{_KINDS}]"
    grammar = regular(f"{thing}({thing}|--)[{_GROUNDS}]", _LETTERS)
    network = ConvNet(_SHAPE, _MAPS, pooled=False, generator=generator)
    return Lattice(SlotCosts(network, _SLOTS, len(_LETTERS), generator), grammar, _SLOTS)


def attributes(scene: Described) -> list[int]:
    """The answer of `attribute_energy` for a scene.

    >>> described(attributes(Described((Thing("ring", "red"),), "sky")))
    Described(things=(Thing(kind='ring', colour='red'),), ground='sky')
    """
    text = "".join(_COLOURS[COLOURS.index(each.colour)] + _KINDS[list(KINDS).index(each.kind)] for each in scene.things)
    return [_LETTERS.index(letter) for letter in f"{text:-<4}{_GROUNDS[list(GROUNDS).index(scene.ground)]}"]


def described(answer: Sequence[int]) -> Described:
    """The scene that an answer of `attribute_energy` says."""
    text = "".join(_LETTERS[number] for number in answer)
    pairs = [pair for pair in (text[:2], text[2:4]) if pair != "--"]
    things = [Thing(list(KINDS)[_KINDS.index(kind)], COLOURS[_COLOURS.index(colour)]) for colour, kind in pairs]
    return Described(tuple(things), list(GROUNDS)[_GROUNDS.index(text[4])])


def train_on_scenes(
    energy: Energy, x: Tensor, y: Tensor, steps: int, batch: int = 32, rate: float = 3e-3, seed: int = 0
) -> FitResult:
    """Train an energy of this file in place by its likelihood, with AdamW and a rate that falls to zero.

    Args:
        energy: of phrases, of captions or of attributes.
        x: images (N, 3, S, S) in [0, 1].
        y: answers, which `Lexicon.said` or `Lattice.transcripts` makes.
        steps: optimiser steps.
        batch: scenes of a step.
        rate: first learning rate.
        seed: of the order of the scenes.
    """
    return fit(
        energy, (x, y), MaximumLikelihood(), steps, min(batch, len(x)), rate, "adamw", _DECAY, clip=5.0,
        schedule=partial(falling, steps), validation=0.0, seed=seed, progress=False, log_every=max(1, steps // 60),
    )  # fmt: skip


def phrase_scores(energy: Bits, scenes: CaptionedScenes) -> Tensor:
    """f(x) of each scene, (N, K)."""
    with torch.no_grad(), evaluating(energy):
        return torch.cat([energy.encode(scenes.pixels(rows)) for rows in _batches(scenes)])


def likely_phrases(energy: Bits, known: Lexicon, scenes: CaptionedScenes, most: int) -> list[Caption]:
    """The phrases of least E of each scene, those with f > 0, best first, and no more than `most`."""
    rows = [(scores > 0, scores.argsort(descending=True)) for scores in phrase_scores(energy, scenes)]
    return [tuple(known.phrases[k] for k in order.tolist() if fits[k])[:most] for fits, order in rows]


def least_captions(energy: Lattice, known: Lexicon, scenes: CaptionedScenes) -> list[Caption]:
    """ŷ = argmin_y E(x, y), the caption of least energy of each scene."""
    return [tuple(known.phrases[k] for k in answer) for answer in least_answers(energy, scenes)]


def least_answers(energy: Lattice, scenes: CaptionedScenes) -> list[list[int]]:
    """The letters of least energy of each scene."""
    found = []
    with evaluating(energy):
        for rows in _batches(scenes):
            least = infer(energy, x=scenes.pixels(rows), over=("y", "z")).value
            found += energy.letters(least["y"])
    return found


def _batches(scenes: CaptionedScenes) -> tuple[Tensor, ...]:
    return torch.arange(len(scenes.scenes)).split(_AT_ONCE)
