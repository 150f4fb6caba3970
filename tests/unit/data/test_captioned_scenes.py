"""Scenes with captions: what is said is true, what is changed is not, and what is held out does not come."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lowland.data.caption_grammar import (
    COLOURS,
    GROUNDS,
    KINDS,
    MOST_PHRASES,
    Described,
    Thing,
    caption_of,
    describe,
    fits,
    grammatical,
    named,
    phrases,
    template,
    true_of,
    words,
)
from lowland.data.captioned_scenes import HELD_OUT_PLACES, HELD_OUT_THINGS, draw_captioned, held_out
from lowland.errors import OptionError

SCENE = Described((Thing("ring", "red"), Thing("disc", "blue")), "grass")


def test_every_description_is_true_and_short_enough():
    draw = np.random.default_rng(0)
    every = [Thing(kind, colour) for kind in KINDS for colour in COLOURS]
    forms = set()
    for _ in range(2000):
        chosen = draw.choice(25, draw.integers(1, 3), replace=False)
        scene = Described(tuple(every[place] for place in chosen), list(GROUNDS)[draw.integers(5)])
        caption = describe(scene, draw)
        assert true_of(caption, scene)
        assert true_of(template(scene), scene)
        assert named(template(scene), scene) == len(scene.things)
        assert len(caption) <= MOST_PHRASES
        assert caption_of(" ".join(words(caption))) == caption
        forms.add(tuple(phrase.kind if phrase.kind == "NP" else phrase.text for phrase in caption[:3]))
    assert len(forms) > 10


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("a red hoop is left of a blue circle", True),
        ("a blue disc is right of a red ring on the lawn", True),
        ("a blue disc is left of a red ring on the lawn", False),
        ("a red ring and a blue disc lie on the grass", True),
        ("a red ring and a blue disc lies on the grass", False),  # not grammatical
        ("a red ring and a red hoop are on the grass", False),  # one thing twice
        ("a red disc is on the grass", False),
        ("a blue disc on the grass", True),
        ("a blue disc on the stones", False),
        ("a blue disc in front of the grass", False),  # not grammatical
        ("there are a blue disc and a red ring", False),  # not grammatical
        ("there is a blue disc", False),  # not grammatical
        ("the grass on a blue disc", False),
    ],
)
def test_truth(text: str, true: bool):
    assert true_of(caption_of(text), SCENE) is true


def test_the_grammar_is_what_it_says():
    """Against a list of all sentences, written here by hand."""
    thing, on, before = caption_of("a red ring")[0], caption_of("on the grass"), caption_of("before the sky")
    subjects = ["T", "T is", "T lies", "there is T", "T and T", "T and T are", "T and T lie", "there are T and T",
                "T is left of T", "T is right of T"]  # fmt: skip
    right = {"T is left of T", "T is right of T"}
    right |= {f"{subject} {place}" for subject in subjects for place in ("on the grass", "before the sky")}
    small = [thing, *on, *before, *caption_of("is are and there is left of")]
    accepted = 0
    for length in range(1, 5):
        for caption in itertools.product(small, repeat=length):
            text = " ".join("T" if phrase == thing else phrase.text for phrase in caption)
            assert grammatical(caption) is (text in right), text
            accepted += text in right
    assert accepted > 5


def test_what_is_named():
    assert [fits(phrase, SCENE) for phrase in caption_of("a red ring on the sky")] == [True, None, False]
    assert named(caption_of("a red ring and a red hoop and a green disc"), SCENE) == 1
    assert len(set(phrases())) == len(phrases()) == 67
    with pytest.raises(OptionError, match="begins with 'reddish'"):
        caption_of("reddish ring")


def test_parts_and_what_is_held_out():
    assert len(HELD_OUT_THINGS) == len(HELD_OUT_PLACES) == 5
    assert {thing.kind for thing in HELD_OUT_THINGS} == {kind for kind, _ in HELD_OUT_PLACES} == set(KINDS)
    assert {thing.colour for thing in HELD_OUT_THINGS} == set(COLOURS)
    seen = draw_captioned("train", 60, torch.Generator().manual_seed(1))
    new = draw_captioned("train", 60, torch.Generator().manual_seed(1), new=True)
    assert not any(map(held_out, seen.scenes))
    assert all(map(held_out, new.scenes))
    again = draw_captioned("train", 60, torch.Generator().manual_seed(1))
    assert torch.equal(again.images, seen.images)
    assert again.captions == seen.captions
    assert {len(scene.things) for scene in seen.scenes} == {1, 2}


def test_things_are_where_they_are_said_to_be():
    """The reddest column and the bluest, of scenes of a red and a blue thing before the sky."""
    drawn = draw_captioned("test", 600, torch.Generator().manual_seed(2))
    pixels, checked = drawn.pixels(), 0
    for image, scene in zip(pixels, drawn.scenes, strict=True):
        if scene.ground == "sky" and {thing.colour for thing in scene.things} == {"red", "blue"}:
            columns = (image[0] - image[2]).mean(dim=0)  # red less blue
            order = columns.argmax() < columns.argmin()
            assert bool(order) is (scene.things[0].colour == "red")
            checked += 1
    assert checked > 0


@pytest.mark.parametrize("options", [{"part": "all"}, {"count": 0}, {"captions": 0}])
def test_what_cannot_be_drawn(options: dict[str, object]):
    given = {"part": "train", "count": 1, "captions": 1, **options}
    with pytest.raises(OptionError):
        draw_captioned(**given, generator=torch.Generator())
