"""Readers of a user's lines: splits, lines that are too long, grammars, and a training of seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lowland.data.text_lines import TextLines
from lowland.errors import DataError, OptionError
from lowland.training.text_reading import (
    TextTraining,
    fitting,
    line_batch,
    read_grammar,
    refused,
    room_for,
    split_lines,
    text_energy,
)


def lines(*texts: str | None, width: int = 32) -> TextLines:
    images = [np.zeros((32, width), np.uint8) for _ in texts]
    return TextLines(images, [f"{row}.png" for row in range(len(texts))], list(texts), 0, [], [])


def test_a_split_is_of_all_lines_once() -> None:
    parts = split_lines(101, seed=1)
    assert sorted(row for part in parts for row in part) == list(range(101))
    assert [len(part) for part in parts] == [71, 15, 15]
    assert parts != split_lines(101, seed=2)


def test_lines_that_are_too_narrow_for_their_text_are_left_out() -> None:
    """Eight frames hold eight different letters, but only four equal ones, with blanks between."""
    found = fitting(lines("abababab", "aaaa", "aaaaa", "ababababa", None, "ab" * 40), "ab")
    assert found.files == ["0.png", "1.png", "4.png"]
    assert [file for file, _ in found.skipped] == ["2.png", "3.png", "5.png"]
    assert "too narrow" in found.skipped[0][1]


def test_a_grammar_is_an_expression_or_a_file_of_words(tmp_path: Path) -> None:
    expression, notes = read_grammar("a+b", "ab")
    assert expression.accepts([0, 0, 1])
    assert not notes
    place = tmp_path / "words.txt"
    place.write_text("ab\n\nba\nxyz\n")
    words, notes = read_grammar(str(place), "ab")
    assert words.accepts([1, 0])
    assert not words.accepts([0])
    assert "1 of 3 words" in notes[0]
    assert "1 of 2 transcripts, such as 'aa'" in refused(words, lines("ab", "aa"), "ab")[0]
    place.write_text("xyz\n")
    with pytest.raises(DataError, match="none is made"):
        read_grammar(str(place), "ab")
    with pytest.raises(OptionError):
        read_grammar("(a", "ab")


def test_training_lowers_the_loss_to_the_same_numbers_again() -> None:
    some = lines(*["ab", "b", "a"] * 6)
    for image, text in zip(some.images, some.said, strict=True):
        for place, letter in enumerate(text):
            image[(4 if letter == "a" else 18) :, 4 + 14 * place : 8 + 14 * place] = 255
    losses = []
    for _ in range(2):
        work = TextTraining(text_energy("ab", room_for(some.images)), some, "ab", steps=12)
        losses.append(work.fit().curves["loss/energy"])
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0] / 2
    assert work.seconds() > 0


def test_a_batch_has_paper_behind_its_longest_line() -> None:
    batch = line_batch([np.full((32, 10), 255, np.uint8), np.zeros((32, 30), np.uint8)])
    assert batch["cells"].tolist() == [3.0, 8.0]
    assert batch["image"].shape[-1] == 56
    assert float(batch["image"][0, 0, :, :10].min()) == 1.0
    assert float(batch["image"][0, 0, :, 10:].max()) == 0.0
