"""How good captions are: BLEU against several references, and whether they are true of what is in a scene."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from lowland.data.caption_grammar import Caption, fits, grammatical, named, true_of, words
from lowland.data.captioned_scenes import CaptionedScenes
from lowland.errors import OptionError, ShapeError


def bleu(texts: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]], order: int = 4) -> float:
    """100 · BP · (Π_n p_n)^(1/N): BLEU of a whole set of texts, from 0 to 100.

    p_n is the share of the n-grams of all texts that a reference of the same text has, each counted no more often than
    in the reference that has it most. BP = min(1, exp(1 − r/c)) with c the words of all texts, and r those of the
    references that are closest in length, of two the shorter one. If no n-gram of some order is found, BLEU is 0.
    Source: Papineni, Roukos, Ward & Zhu, "BLEU: a method for automatic evaluation of machine translation" (2002),
    section 2.3.

    Args:
        texts: lists of words.
        references: of each text, one list of words or more.
        order: N.

    Raises:
        ShapeError: for other numbers of references than of texts, a text without references, or no texts.
        OptionError: for an order below 1.

    >>> round(bleu(["the cat sat down".split()], [["the cat sat".split(), "the cat sat on it".split()]], order=2), 2)
    70.71
    """
    if order < 1:
        raise OptionError(f"The order of BLEU must be at least 1, but it is {order}.")
    if len(texts) != len(references) or not texts or not all(map(len, references)):
        raise ShapeError(
            f"Each text needs references, but there are {len(texts)} texts and {len(references)} sets of references, "
            "some of which may be empty."
        )
    found, total = [0] * order, [0] * order
    length, wanted = 0, 0
    for text, own in zip(texts, references, strict=True):
        length += len(text)
        wanted += min((abs(len(each) - len(text)), len(each)) for each in own)[1]
        for n in range(order):
            most: Counter[tuple[str, ...]] = Counter()
            for each in own:
                most |= _ngrams(each, n + 1)
            counts = _ngrams(text, n + 1)
            found[n] += (counts & most).total()
            total[n] += counts.total()
    if not all(found):
        return 0.0
    mean = sum(math.log(some / every) for some, every in zip(found, total, strict=True)) / order
    return 100 * math.exp(mean + min(0.0, 1 - wanted / length))


def _ngrams(text: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(text[start : start + n]) for start in range(len(text) - n + 1))


def caption_bleu(captions: Sequence[Caption], scenes: CaptionedScenes) -> float:
    """BLEU-4 of captions against those of the scenes."""
    return bleu([words(each) for each in captions], [[words(one) for one in own] for own in scenes.captions])


def caption_row(captions: Sequence[Caption], scenes: CaptionedScenes) -> dict[str, float]:
    """BLEU-4, and in percent what is exact where scenes are drawn.

    "true" of the captions are grammatical and say nothing wrong, "grammatical" are accepted by the grammar, "phrases"
    of the noun phrases that are said fit the scene, and "named" are the things of the scenes that are said.

    """
    pairs = list(zip(captions, scenes.scenes, strict=True))
    nouns = [fit for caption, scene in pairs for phrase in caption if (fit := fits(phrase, scene)) is not None]
    things = sum(len(scene.things) for scene in scenes.scenes)
    return {
        "bleu": caption_bleu(captions, scenes),
        "true": _share([true_of(caption, scene) for caption, scene in pairs]),
        "grammatical": _share([grammatical(caption) for caption in captions]),
        "phrases": _share(nouns),
        "named": 100 * sum(named(caption, scene) for caption, scene in pairs) / things,
    }


def _share(each: Sequence[bool]) -> float:
    return 100 * sum(each) / len(each) if each else 0.0


def nearest_captions(known: Tensor, scenes: CaptionedScenes, wanted: Tensor) -> list[Caption]:
    """The first caption of the scene whose description is closest in angle, for each of M descriptions.

    Args:
        known: (N, D) descriptions of scenes, such as scores of phrases.
        scenes: the N scenes.
        wanted: (M, D).
    """
    angles = functional.normalize(wanted, dim=1) @ functional.normalize(known, dim=1).T
    return [scenes.captions[row][0] for row in angles.argmax(dim=1).tolist()]


def best_captions(
    method: Callable[[float], Sequence[Caption]], scenes: CaptionedScenes, choices: Sequence[float]
) -> float:
    """The choice whose captions have the largest BLEU-4 on validation scenes, the first of several."""
    return max(choices, key=lambda choice: caption_bleu(method(choice), scenes))
