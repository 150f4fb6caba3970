"""BLEU against counting by hand, and rows of captions that are known to be right or wrong."""

from __future__ import annotations

import math
import random

import pytest
import torch

from lowland.data.caption_grammar import caption_of, template
from lowland.data.captioned_scenes import draw_captioned
from lowland.errors import OptionError, ShapeError
from lowland.evaluation.captions import best_captions, bleu, caption_bleu, caption_row, nearest_captions


def slow_bleu(texts: list[list[str]], references: list[list[list[str]]], order: int) -> float:
    """The definition, by loops over strings and no counters."""
    product = 1.0
    for n in range(1, order + 1):
        right = every = 0
        for text, own in zip(texts, references, strict=True):
            grams = [" ".join(text[i : i + n]) for i in range(len(text) - n + 1)]
            every += len(grams)
            for gram in sorted(set(grams)):
                counts = []
                for reference in own:
                    others = [" ".join(reference[i : i + n]) for i in range(len(reference) - n + 1)]
                    counts.append(others.count(gram))
                right += min(grams.count(gram), max(counts))
        if right == 0:
            return 0.0
        product *= right / every
    length, wanted = sum(map(len, texts)), 0
    for text, own in zip(texts, references, strict=True):
        best = own[0]
        for reference in own:
            nearer = abs(len(reference) - len(text)) - abs(len(best) - len(text))
            if nearer < 0 or (nearer == 0 and len(reference) < len(best)):
                best = reference
        wanted += len(best)
    penalty = 1.0 if length > wanted else math.exp(1 - wanted / length)
    return 100 * penalty * product ** (1 / order)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_bleu_is_its_definition(order: int):
    draw = random.Random(order)
    for _ in range(50):
        texts = [[draw.choice("abc") for _ in range(draw.randint(1, 9))] for _ in range(4)]
        own = [[[draw.choice("abc") for _ in range(draw.randint(1, 9))] for _ in range(3)] for _ in texts]
        assert bleu(texts, own, order) == pytest.approx(slow_bleu(texts, own, order), abs=1e-9)


def test_examples_of_the_paper():
    """Papineni et al. 2002, section 2.1: a repeated word counts as often as in a reference, 2 of 7."""
    references = [["the cat is on the mat".split(), "there is a cat on the mat".split()]]
    assert bleu(["the the the the the the the".split()], references, order=1) == pytest.approx(100 * 2 / 7)
    assert bleu([references[0][1]], references) == pytest.approx(100)
    # Two words in order, of which the closest reference has six: exp(1 − 6/2).
    assert bleu([["the", "cat"]], references, order=2) == pytest.approx(100 * math.exp(-2))
    assert bleu([["dog"]], references) == 0.0


@pytest.mark.parametrize(("texts", "references"), [([], []), ([["a"]], []), ([["a"]], [[]])])
def test_bleu_needs_references(texts: list[list[str]], references: list[list[list[str]]]):
    with pytest.raises(ShapeError, match="references"):
        bleu(texts, references)
    with pytest.raises(OptionError, match="order"):
        bleu([["a"]], [[["a"]]], order=0)


def test_rows():
    scenes = draw_captioned("test", 30, torch.Generator().manual_seed(0))
    right = caption_row([own[0] for own in scenes.captions], scenes)
    assert right["bleu"] == pytest.approx(100)
    assert right["true"] == right["grammatical"] == right["phrases"] == 100
    assert 50 < right["named"] < 100  # one of two things is passed over now and then
    full = caption_row([template(scene) for scene in scenes.scenes], scenes)
    assert (full["true"], full["named"]) == (100, 100)
    assert full["bleu"] < 100
    turned = [caption_of("on the sky a red ring")] * 30
    assert caption_row(turned, scenes)["grammatical"] == caption_row(turned, scenes)["true"] == 0
    nothing = caption_row([()] * 30, scenes)
    assert set(nothing.values()) == {0.0}


def test_nearest_and_best():
    scenes = draw_captioned("test", 3, torch.Generator().manual_seed(0))
    found = nearest_captions(torch.eye(3), scenes, torch.tensor([[0.1, 0.0, 5.0], [1.0, 0.5, 0.0]]))
    assert found == [scenes.captions[2][0], scenes.captions[0][0]]
    told = {1.0: [own[1] for own in scenes.captions], 2.0: [()] * 3}
    assert best_captions(told.__getitem__, scenes, (2.0, 1.0)) == 1.0
    assert caption_bleu(told[1.0], scenes) == pytest.approx(100)
