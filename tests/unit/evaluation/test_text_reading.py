"""Measures of readers of text: character errors, confusions, what is read in a batch, and the table of readings."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.automata import regular
from lowland.evaluation.text_reading import Read, character_error, confusions, read_texts, text_row, write_readings
from lowland.training.text_reading import text_energy


def test_character_error_counts_edits_and_its_interval_holds_it() -> None:
    texts, truths = ["abc", "", "xbcd", "abc"] * 10, ["abc", "ab", "abc", "abc"] * 10
    found = character_error(texts, truths)
    assert found.value == pytest.approx(100 * 4 / 11)
    assert 15 < found.low < found.value < found.high < 60
    row = text_row(texts, truths)
    assert row["whole"] == 50
    assert row["whole low"] < 50 < row["whole high"]


def test_confusions_are_as_many_as_edits() -> None:
    assert confusions(["abc", "axc", "axc", "ac", "abbc"], ["abc"] * 5) == [("b", "x", 2), ("", "b", 1), ("b", "", 1)]


def test_a_line_reads_the_same_in_any_batch() -> None:
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 255, (32, width), dtype=np.uint8) for width in (20, 60, 33, 45)]
    energy = text_energy("abc", 120)
    together = read_texts(energy, images, "abc")
    for row, image in enumerate(images):
        alone = read_texts(energy, [image], "abc")
        assert alone.texts[0] == together.texts[row]
        assert float(alone.confidence[0]) == pytest.approx(float(together.confidence[row]), abs=1e-4)
    assert read_texts(energy, [], "abc").texts == []


def test_a_line_with_no_text_in_the_grammar_is_read_as_empty_and_not_accepted(tmp_path: Path) -> None:
    energy = text_energy("ab", 120).constrained(regular("(ab){4}", "ab"))
    found = read_texts(energy, [np.zeros((32, 12), np.uint8), np.zeros((32, 60), np.uint8)], "ab")
    assert found.texts == ["", "abababab"]
    assert float(found.confidence[0]) == -math.inf
    place = write_readings(tmp_path / "read.csv", ["a,b.png", "c.png"], [found], -math.inf)
    rows = list(csv.reader(place.read_text().splitlines()))
    assert rows[0] == ["file", "text", "confidence", "accepted"]
    assert rows[1] == ["a,b.png", "", "0.0000", "no"]
    assert rows[2][1::2] == ["abababab", "yes"]


def test_the_threshold_parts_the_table(tmp_path: Path) -> None:
    read = Read(["x", "y"], torch.tensor([-0.1, -0.3], dtype=torch.float64))
    text = write_readings(tmp_path / "read.csv", ["a", "b"], [read], -0.2).read_text()
    assert text.splitlines()[1:] == ["a,x,0.9048,yes", "b,y,0.7408,no"]
