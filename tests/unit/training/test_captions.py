"""Captions as paths: the lexicon, the order of phrases, and the least caption against all of them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from lowland.automata import Automaton
from lowland.data.caption_grammar import COLOURS, GROUNDS, KINDS, Caption, Described, Phrase, Thing, caption_of
from lowland.data.captioned_scenes import draw_captioned
from lowland.energies.bits import Bits
from lowland.errors import DataError, OptionError
from lowland.nn.phrases import PhraseScores, SlotCosts
from lowland.training.captions import (
    Lexicon,
    attribute_energy,
    attributes,
    caption_energy,
    described,
    least_answers,
    least_captions,
    lexicon,
    likely_phrases,
    phrase_energy,
    phrase_order,
    phrase_scores,
    train_on_scenes,
    train_phrases,
)

TEXTS = ("a red ring on the grass", "a blue disc lies on the lawn", "a red ring is left of a blue disc")
TOLD = [caption_of(text) for text in TEXTS]


def test_words_are_exchanged_where_phrases_differ_in_two_places():
    known = lexicon(TOLD)
    unheard = {phrase.text for phrase, seen in zip(known.phrases, known.seen, strict=True) if not seen}
    assert unheard == {"a blue ring", "a red disc"}
    of = dict(zip((phrase.text for phrase in known.phrases), known.classes, strict=True))
    assert of["a blue ring"] == of["a red ring"] != of["the grass"] != of["the lawn"]
    assert known.heard().phrases == tuple(phrase for phrase in known.phrases if phrase.text not in unheard)
    assert all(known.heard().seen)
    assert known.words().sum(dim=1).tolist() == [len(phrase.text.split()) for phrase in known.phrases]
    said = known.said([TOLD[:2], [(Phrase("NP", "a pink ring"),)]])
    assert said.sum(dim=1).tolist() == [len({*TOLD[0], *TOLD[1]}), 0]
    with pytest.raises(DataError, match="captions"):
        lexicon([])


def cost(order: Automaton, known: Lexicon, caption: Caption, cells: int) -> float:
    """What an energy without an image makes of a caption, by the lattice."""
    energy = silent(known)
    lattice = caption_energy(energy, order, cells)
    y = lattice.transcripts([[known.phrases.index(phrase) for phrase in caption]])
    with torch.no_grad():
        return float(lattice.marginal(lattice.encode(torch.zeros(1, 3, 40, 40)), y, math.inf))


def silent(known: Lexicon) -> Bits:
    energy = phrase_energy(known)
    scores = energy.network
    assert isinstance(scores, PhraseScores)
    with torch.no_grad():
        scores.vectors.weight.zero_()
        scores.vectors.bias.zero_()
    return energy.eval()


def test_the_order_costs_what_n_grams_of_classes_cost():
    """Two captions of one form: each of four steps, the end too, has 2 of 2 counts, less ¾, and ¾/2 of a share of ¼."""
    told = [caption_of("a red ring on the grass"), caption_of("a blue disc on the grass")]
    known = lexicon(told)
    order = phrase_order(known, told, order=2)
    heard, other = 0.625 + 0.375 * 0.25, 0.375 * 0.25
    assert cost(order, known, told[0], 4) == pytest.approx(-4 * math.log(heard), rel=1e-5)
    turned = caption_of("on a red ring the grass")
    assert cost(order, known, turned, 4) == pytest.approx(-3 * math.log(other) - math.log(heard), rel=1e-5)
    red, blue = (cost(order, known, caption_of(f"a {text} on the grass"), 4) for text in ("red ring", "blue ring"))
    assert red == pytest.approx(blue)  # never heard, but of the same class
    double = phrase_order(known, told, order=2, weight=2.0)
    assert cost(double, known, told[0], 4) == pytest.approx(2 * cost(order, known, told[0], 4))
    with pytest.raises(OptionError, match="positive"):
        phrase_order(known, told, weight=0.0)


def test_the_least_caption_is_the_least_of_all():
    told = [caption_of("a red ring on the grass"), caption_of("a blue disc before the sky")]
    known, scenes = lexicon(told), draw_captioned("test", 4, torch.Generator().manual_seed(0))
    energy, order = phrase_energy(known, generator=torch.Generator().manual_seed(3)), phrase_order(known, told, 2)
    lattice = caption_energy(energy, order, 3).eval()
    found = least_captions(lattice, known, scenes)
    numbers = range(len(known.phrases))
    every = [answer for length in range(4) for answer in itertools.product(numbers, repeat=length)]
    for row, caption in enumerate(found):
        x = {name: value[:1].expand(len(every), *value.shape[1:]) for name, value in
             lattice.encode(scenes.pixels([row])).items()}  # fmt: skip
        with torch.no_grad():
            costs = lattice.marginal(x, lattice.transcripts(every), math.inf)
        best = every[int(costs.argmin())]
        assert caption == tuple(known.phrases[k] for k in best)
        scores = phrase_scores(energy, scenes)[row]
        alone = -float(scores[list(best)].sum())
        assert float(costs.min()) == pytest.approx(alone + cost(order, known, caption, 3), abs=1e-4)


def test_likely_phrases_are_those_above_zero_best_first():
    known, scenes = lexicon(TOLD), draw_captioned("test", 3, torch.Generator().manual_seed(0))
    energy = phrase_energy(known)
    for row, caption in enumerate(likely_phrases(energy, known, scenes, 4)):
        scores = phrase_scores(energy, scenes)[row].tolist()
        values = [scores[known.phrases.index(phrase)] for phrase in caption]
        assert values == sorted(values, reverse=True)
        assert all(value > 0 for value in values)
        assert len(values) == min(4, sum(score > 0 for score in scores))


def test_attributes_there_and_back():
    one = Described((Thing("cross", "purple"),), "trees")
    two = Described((Thing("ring", "red"), Thing("ring", "blue")), "gravel")
    assert [described(attributes(scene)) for scene in (one, two)] == [one, two]
    energy = attribute_energy()
    y = energy.transcripts([attributes(one), attributes(two)])
    assert energy.possible(torch.zeros(2, 3, 40, 40), y).all()
    # 25 first things, 25 or none behind, 5 backgrounds: the sum over all answers of equal cost.
    costs = energy.network
    assert isinstance(costs, SlotCosts)
    with torch.no_grad():
        costs.read.weight.zero_()
        costs.read.bias.zero_()
        total = energy.log_partition(energy.encode(torch.zeros(1, 3, 40, 40))).exp()
    assert float(total) == pytest.approx(len(KINDS) * len(COLOURS) * (len(KINDS) * len(COLOURS) + 1) * len(GROUNDS))


def test_training_learns_a_few_scenes_by_heart():
    scenes = draw_captioned("train", 8, torch.Generator().manual_seed(0))
    known = lexicon(caption for own in scenes.captions for caption in own)
    energy = phrase_energy(known)
    before = [each.clone() for each in energy.parameters()]
    result = train_phrases(energy, known, scenes, steps=40, batch=8)
    curve = result.history["loss/energy"].values
    assert curve[-1] < 0.3 * curve[0]
    assert any(not torch.equal(one, other) for one, other in zip(before, energy.parameters(), strict=True))
    slots = attribute_energy()
    y = slots.transcripts([attributes(scene) for scene in scenes.scenes])
    train_on_scenes(slots, scenes.pixels(), y, steps=40, batch=8)
    right = [
        described(answer) == scene for answer, scene in zip(least_answers(slots, scenes), scenes.scenes, strict=True)
    ]
    assert sum(right) >= 6
