"""Lines of amounts as inputs and answers: where letters lie, rubbish, and what cannot be read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lowland.data.amounts import amount_lines
from lowland.data.handwriting import LETTERS
from lowland.data.optical_digits import digits
from lowland.errors import DomainError
from lowland.training.line_reading import (
    LineSet,
    LineShape,
    chosen_pieces,
    impossible,
    line_set,
    new_reader,
    reading_energy,
    train_reader,
    true_cuts,
    with_rubbish,
)


@pytest.fixture(scope="module")
def made() -> tuple[LineSet, LineShape]:
    lines = amount_lines(digits(), "train", 12, torch.Generator().manual_seed(0)).upright()
    shape = LineShape.of(lines)
    return line_set(lines, shape), shape


def test_true_cuts_are_the_nearest_in_order() -> None:
    """Against all choices of cuts."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        edges = np.cumsum(rng.integers(2, 8, 8))
        truth = np.sort(rng.uniform(edges[0], edges[-1], 3))
        choices = [
            (0, *middle, 7)
            for middle in itertools.combinations(range(1, 7), 3)
            if max(np.diff([0, *middle, 7])) <= 3 and max(np.diff(edges[[0, *middle, 7]])) <= 32
        ]
        costs = [np.abs(edges[list(choice[1:-1])] - truth).sum() for choice in choices]
        found = true_cuts(edges, truth, 3)
        assert np.abs(edges[found[1:-1]] - truth).sum() == pytest.approx(min(costs))
    assert true_cuts(np.array([0, 5]), np.array([2.0]), 7) == []


def test_each_letter_has_a_piece(made: tuple[LineSet, LineShape]) -> None:
    lines, _ = made
    for labels, text in zip(lines.labels, lines.texts, strict=True):
        assert [LETTERS[int(label)] for label in labels if label >= 0] == list(text)


def test_rubbish_is_no_letter(made: tuple[LineSet, LineShape]) -> None:
    lines, _ = made
    labels = with_rubbish(lines, torch.Generator().manual_seed(0))
    rubbish = labels == len(LETTERS)
    assert not bool((rubbish & (lines.labels >= 0)).any())
    assert torch.equal(labels[~rubbish], lines.labels[~rubbish])
    assert rubbish.sum(dim=1).tolist() == [len(text) for text in lines.texts]


@pytest.mark.parametrize("method", ["characters", "rubbish", "forward", "Viterbi", "frames"])
def test_each_method_learns(made: tuple[LineSet, LineShape], method: str) -> None:
    lines, shape = made
    reader = new_reader(method, shape, torch.Generator().manual_seed(0))  # pyright: ignore[reportArgumentType]
    found = train_reader(method, reader, lines, shape, steps=6, batch=12, rate=5e-3)  # pyright: ignore[reportArgumentType]
    losses = found.history["loss/energy"].values
    assert losses[-1] < losses[0]


def test_answers_and_pieces_agree(made: tuple[LineSet, LineShape]) -> None:
    lines, shape = made
    energy = reading_energy(new_reader("forward", shape, torch.Generator().manual_seed(0)), shape)
    for columns, pieces in chosen_pieces(energy, lines):
        assert len(columns) == len(pieces) + 1
        assert "." not in "".join(letter for _, _, letter in pieces)[:1]  # an amount begins with a digit


def test_lines_that_cannot_be_read_are_named(made: tuple[LineSet, LineShape]) -> None:
    lines, shape = made
    reader = new_reader("forward", shape, torch.Generator().manual_seed(0))
    energy = reading_energy(reader, shape)
    assert impossible(lines, energy, lines.pieces()) == []
    short = lines._replace(cells=torch.where(torch.arange(12) == 3, 1.0, lines.cells))
    assert impossible(short, energy, short.pieces()) == [3]
    with pytest.raises(DomainError, match="1 of 12 lines cannot be read as what they say, the first is line 3"):
        train_reader("forward", reader, short, shape, steps=1)


def test_right_is_what_is_worth_as_much(made: tuple[LineSet, LineShape]) -> None:
    lines, _ = made
    assert bool(lines.right(lines.letters).all())
    assert not bool(lines.right([[] for _ in lines.texts]).any())
    row = next(i for i, text in enumerate(lines.texts) if "," in text)
    without = [LETTERS.index(letter) for letter in lines.texts[row] if letter != ","]
    assert bool(lines.take(torch.tensor([row])).right([without]).all())
