"""Handwritten words on a few in the published format, and on damaged ones."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import lowland as ll
from lowland.data.handwritten_words import FOLDS, Words, digit_words, words
from lowland.errors import DataError, OptionError

from .old_pickles import array, listed, named, pickled  # noqa: TID252  folders of tests are on no path

RANDOM = np.random.default_rng(0)
TEXTS = ["cat", "at", "tab", "bat", "a"]


def letters(text: str) -> np.ndarray:
    return np.array([ord(letter) - ord("a") for letter in text])


def write(folder: Path, **changes: bytes) -> list[np.ndarray]:
    pixels = [RANDOM.integers(0, 2, (len(text), 128)).astype(np.float64) for text in TEXTS]
    parts = {
        "data": listed([array(word) for word in pixels]),
        "labels": listed([array(letters(text)) for text in TEXTS]),
        "folds": array(np.array([0, 1, 1, 2, 0])),
    }
    payload = pickled(named({name.encode(): part for name, part in (parts | changes).items()}))
    (folder / "letters.pickle").write_bytes(payload)
    return pixels


def test_words_are_read(tmp_path: Path) -> None:
    pixels = write(tmp_path)
    found = words(tmp_path)
    assert found.texts == TEXTS
    assert found.folds.tolist() == [0, 1, 1, 2, 0]
    assert np.array_equal(found.pixels.flatten(1).numpy(), np.concatenate(pixels))
    assert torch.equal(found.pictures[1], torch.from_numpy(np.hstack(list(pixels[1].reshape(2, 16, 8)))).float())
    assert ll.data.check("words", tmp_path) == "words: 5 words of 12 letters"
    with pytest.raises(OptionError, match="holds 5 words of 12 letters, but images are needed"):
        ll.data.load("words", tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folds": listed([])}, "does not hold words"),
        ({"folds": array(np.zeros(4, np.int64))}, "words without a fold"),
        (
            {"labels": listed([array(letters(text)) for text in [*TEXTS[:4], "an"]])},
            "other letters than",
        ),
        ({"labels": listed([array(letters(text) + 26) for text in TEXTS])}, "letters beyond z"),
        ({"folds": array(np.array([0, 1, 1, 2, 10]))}, "words without a fold"),
        ({"data": listed([array(2 * np.ones((len(text), 128))) for text in TEXTS])}, "levels beyond 0 to 1"),
        ({"labels": b"N"}, "does not hold words"),
    ],
    ids=range(7),
)
def test_damaged_words_are_named(tmp_path: Path, changes: dict[str, bytes], said: str) -> None:
    write(tmp_path, **changes)
    with pytest.raises(DataError, match=rf"letters\.pickle .*{said}"):
        words(tmp_path)


def test_parts_share_no_word_and_hold_out_a_fold() -> None:
    whole = digit_words(60, torch.Generator().manual_seed(0))
    parts = whole.split(3, 0.25, torch.Generator().manual_seed(1))
    assert bool((parts["test"].folds == 3).all())
    assert not bool((torch.cat([parts["train"].folds, parts["validation"].folds]) == 3).any())
    pictures = [picture.numpy().tobytes() for part in parts.values() for picture in part.pictures]
    assert sorted(pictures) == sorted(picture.numpy().tobytes() for picture in whole.pictures)
    assert len(parts["validation"].texts) == round(0.25 * (60 - len(parts["test"].texts)))
    for fold, share in ((FOLDS, 0.25), (3, 0.0)):
        with pytest.raises(OptionError, match="There are no words for fold"):
            whole.split(fold, share, torch.Generator())


def test_digits_count_upwards_and_look_like_what_they_are() -> None:
    found = digit_words(40, torch.Generator().manual_seed(0))
    steps = {(b - a) % 10 for word in found.answers for a, b in itertools.pairwise(word)}
    assert steps == {1, 2}
    images, labels = ll.data.digits().together
    known = {image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    seen = [known[pixels[:, ::2].contiguous().numpy().tobytes()] for pixels in found.pixels]
    assert seen == found.letters.tolist()


def test_inputs_are_empty_behind_a_word() -> None:
    some = Words(torch.ones(3, 1, 16, 8), torch.tensor([0, 1, 2]), torch.tensor([2, 1]), torch.tensor([0, 0]))
    x = some.inputs(4)
    assert x["cell"].shape == (2, 4, 1, 16, 8)
    assert x["cell"][:, :, 0, 0, 0].tolist() == [[1, 1, 0, 0], [1, 0, 0, 0]]
    assert x["cells"].tolist() == [2, 1]
