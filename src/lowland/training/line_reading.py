"""Lines of amounts as the inputs and answers of readers, and the ways to train a reader on them (systems V4, V5).

Legend: N lines, W columns, C cells between cuts, L cells of the longest piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lowland.automata import Automaton, compose, frames, regular
from lowland.data.amounts import AMOUNT, AmountLines, in_cents
from lowland.data.cuts import cuts, pad_lines
from lowland.data.handwriting import LETTERS
from lowland.energies.base import Energy
from lowland.energies.lattice import Lattice
from lowland.energies.piece_labels import PieceLabels
from lowland.errors import DomainError
from lowland.nn.layers import evaluating
from lowland.nn.line_readers import STRIDE, FrameReader, PieceReader
from lowland.shaping.base import Shaping
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.shaping.contrastive.pair import HingePair
from lowland.shaping.contrastive.points import LeastAnswer
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.fit import FitResult, fit
from lowland.training.schedules import warm_cosine

Method: TypeAlias = Literal["characters", "rubbish", "forward", "Viterbi", "frames"]
WIDEST = 32
"""Columns of the widest piece."""


class LineSet(NamedTuple):
    """N lines as tensors.

    `image` (N, 1, 32, W), `cuts` (N, C + 1) with the last one repeated, `cells` and `frames` (N,) how many each line
    has, `labels` (N, C · L) the letter of each piece of the true segmentation and −1 elsewhere, `texts` what they say,
    `cents` (N,) what it is worth.
    """

    image: Tensor
    cuts: Tensor
    cells: Tensor
    frames: Tensor
    labels: Tensor
    texts: list[str]
    cents: Tensor

    @property
    def letters(self) -> list[list[int]]:
        """The texts as numbers of letters."""
        return [[LETTERS.index(letter) for letter in text] for text in self.texts]

    def pieces(self) -> dict[str, Tensor]:
        """The input of a `PieceReader`."""
        return {"image": self.image, "cuts": self.cuts, "cells": self.cells}

    def columns(self) -> dict[str, Tensor]:
        """The input of a `FrameReader`."""
        return {"image": self.image, "cells": self.frames}

    def inputs(self, energy: Lattice) -> dict[str, Tensor]:
        """The input of a lattice, by its network."""
        return self.pieces() if isinstance(energy.network, PieceReader) else self.columns()

    def take(self, rows: Tensor) -> LineSet:
        """Some of the lines."""
        some = {name: value[rows] for name, value in self._asdict().items() if isinstance(value, Tensor)}
        return self._replace(texts=[self.texts[row] for row in rows.tolist()], **some)

    def pictures(self) -> list[Tensor]:
        """Each line (32, W) up to its own end."""
        return [image[0, :, : int(edges[-1]) + 4] for image, edges in zip(self.image, self.cuts, strict=True)]

    def edges(self) -> list[Tensor]:
        """The cuts of each line, (C + 1,) int64 with its own C."""
        return [edges[: int(count) + 1].long() for edges, count in zip(self.cuts, self.cells, strict=True)]

    def right(self, answers: list[list[int]]) -> Tensor:
        """(N,) of booleans, whether an answer is an amount worth as much as the line."""

        def worth(answer: list[int]) -> int:
            try:
                return in_cents("".join(LETTERS[letter] for letter in answer))
            except DomainError:
                return -1

        return torch.tensor([worth(answer) for answer in answers]) == self.cents


@dataclass(frozen=True)
class LineShape:
    """What lines of one experiment have in common: W columns, C cells, L cells of a piece."""

    width: int
    cells: int
    longest: int = 7

    @classmethod
    def of(cls, *sets: AmountLines, longest: int = 7) -> LineShape:
        """Enough for all lines of some sets."""
        images = [image for lines in sets for image in lines.images]
        widths = max(image.shape[1] for image in images)
        return cls(-(-widths // STRIDE) * STRIDE, max(len(cuts(image)) - 1 for image in images), longest)


def line_set(lines: AmountLines, shape: LineShape) -> LineSet:
    """Upright lines as tensors of one size.

    Raises:
        DomainError: for a line that is wider than the shape, or has more cells.
    """
    images, widths = pad_lines(lines.images)
    edges = [cuts(image) for image in lines.images]
    most = max(len(each) for each in edges) - 1
    if most > shape.cells or images.shape[-1] > shape.width:
        raise DomainError(f"A line has {most} cells and {images.shape[-1]} columns, but there is room for {shape}.")
    padded = [torch.cat([each, each[-1:].expand(shape.cells + 1 - len(each))]) for each in edges]
    labels = torch.full((len(edges), shape.cells, shape.longest), -1.0)
    for row, (each, between, text) in enumerate(zip(edges, lines.boundaries, lines.texts, strict=True)):
        places = true_cuts(each.numpy(), between.numpy(), shape.longest)
        for begin, end, letter in zip(places, places[1:], text, strict=False):
            labels[row, end - 1, end - begin - 1] = LETTERS.index(letter)
    return LineSet(
        torch.nn.functional.pad(images, (0, shape.width - images.shape[-1])), torch.stack(padded).float(),
        torch.tensor([len(each) - 1.0 for each in edges]), (widths / STRIDE).ceil(), labels.flatten(1), lines.texts,
        lines.cents,
    )  # fmt: skip


def true_cuts(edges: Any, boundaries: Any, longest: int) -> list[int]:
    """Which cuts are nearest to the true boundaries, all together: k_0 = 0 < k_1 < … < k_n = C of least Σ |cut − true|.

    Args:
        edges: (C + 1,) columns of cuts.
        boundaries: (n − 1,) columns between neighbouring characters.
        longest: most cells between two of them.

    Returns:
        n + 1 numbers of cuts, or none where no such cuts exist.

    >>> true_cuts(np.array([0, 4, 9, 15, 20]), np.array([5.0, 14.0]), 3)
    [0, 1, 3, 4]
    """
    count = len(edges)
    best = np.full(count, np.inf)
    best[0], back = 0.0, []
    for boundary in [*boundaries, edges[-1]]:
        # From cut j to a later cut k, at most `longest` cells away.
        steps = np.full((count, count), np.inf)
        for size in range(1, min(longest, count - 1) + 1):
            places = np.arange(count - size)
            wide = edges[size:] - edges[: count - size] > WIDEST
            steps[places, places + size] = np.where(wide, np.inf, best[: count - size])
        back.append(steps.argmin(axis=0))
        best = steps.min(axis=0) + np.abs(edges - boundary)
    if not np.isfinite(best[-1]):
        return []
    places = [count - 1]
    for each in reversed(back):
        places.append(int(each[places[-1]]))
    return places[::-1]


def with_rubbish(lines: LineSet, generator: torch.Generator) -> Tensor:
    """The labels of pieces, and for each line as many pieces that are no character, drawn at random, as rubbish."""
    labels, cells = lines.labels.clone(), lines.cells[:, None, None]
    shape = labels.shape[0], lines.cuts.shape[1] - 1, -1
    table = labels.view(shape)
    end = torch.arange(table.shape[1])[:, None]
    begin = end - torch.arange(table.shape[2])
    wide = lines.cuts[:, 1:, None] - lines.cuts[:, begin.clamp_min(0)]
    free = (table < 0) & (begin >= 0) & (end < cells) & (wide <= WIDEST)
    keys = torch.rand(free.shape, generator=generator).masked_fill(~free, -1.0).flatten(1)
    wanted = (labels >= 0).sum(dim=1, keepdim=True)
    rank = keys.argsort(dim=1, descending=True).argsort(dim=1)
    return torch.where((rank < wanted) & (keys >= 0), float(len(LETTERS)), labels)


def grammar() -> Automaton:
    """The amounts that can be written."""
    return regular(AMOUNT, LETTERS)


def new_reader(method: Method, shape: LineShape, generator: torch.Generator) -> PieceReader | FrameReader:
    """The network of a method, not trained yet."""
    if method == "frames":
        return FrameReader(32, shape.width, len(LETTERS), generator=generator)
    return PieceReader(
        32, shape.width, shape.cells, len(LETTERS), shape.longest, WIDEST, rubbish=method == "rubbish",
        normalised=method in ("characters", "rubbish"), generator=generator,
    )  # fmt: skip


def reading_energy(reader: PieceReader | FrameReader, shape: LineShape, constrained: bool = True) -> Lattice:
    """The lattice by which a reader reads, of amounts alone or of all letters in any order."""
    if isinstance(reader, PieceReader):
        return Lattice(reader, grammar(), shape.cells, lengths=True)
    free = frames(len(LETTERS))
    return Lattice(reader, compose(free, grammar()) if constrained else free, shape.width // STRIDE, lengths=True)


def train_reader(
    method: Method, reader: PieceReader | FrameReader, lines: LineSet, shape: LineShape, steps: int, batch: int = 16,
    rate: float = 2e-3, seed: int = 0,
) -> FitResult:  # fmt: skip
    """Train a reader in place.

    Args:
        method: "characters" on the pieces of the true segmentation, "rubbish" on others besides; on whole amounts,
            whose segmentation is not given, "forward" by likelihood, "Viterbi" by the perceptron's loss; "frames" by
            likelihood without pieces (CTC).
        reader: of `new_reader`.
        lines: to learn from.
        shape: of the lines.
        steps: optimiser steps.
        batch: lines of a step.
        rate: highest learning rate.
        seed: of the order of the lines.

    Raises:
        DomainError: if a line cannot say its text; see `impossible`.
    """
    energy, shaping, data = _task(method, reader, lines, shape, seed)
    return fit(
        energy, data, shaping, steps, batch, rate, schedule=partial(warm_cosine, steps), clip=5.0, validation=0.0,
        seed=seed, progress=False, log_every=max(1, steps // 60),
    )  # fmt: skip


@torch.no_grad()
def chosen_pieces(energy: Lattice, lines: LineSet) -> list[tuple[list[int], list[tuple[int, int, str]]]]:
    """What the best path of each line cuts: the columns, and (last cell, cells, letter) of each piece."""
    with evaluating(energy):
        encoded = energy.encode(lines.pieces())
    minimiser = energy.structure(("y", "z"), encoded, None, None).minimiser
    assert minimiser is not None
    found = []
    for path, edges in zip(minimiser()[:, energy.cells :].long().tolist(), lines.edges(), strict=True):
        columns, pieces, begin = edges.tolist(), list[tuple[int, int, str]](), 0
        for end, arc in enumerate(path):
            if arc >= 0:
                pieces.append((end, end + 1 - begin, LETTERS[energy.automaton.label[arc]]))
                begin = end + 1
        found.append(([columns[0], *(columns[end + 1] for end, _, _ in pieces)], pieces))
    return found


def impossible(lines: LineSet, energy: Lattice, x: dict[str, Tensor]) -> list[int]:
    """The lines that no path of a lattice can read, such as those with more letters than cells."""
    y = energy.transcripts(lines.letters)
    return [int(row) for row in (~energy.possible(x, y)).nonzero()[:, 0]]


def _task(
    method: Method, reader: PieceReader | FrameReader, lines: LineSet, shape: LineShape, seed: int
) -> tuple[Energy, Shaping, tuple[Any, Any]]:
    if method in ("characters", "rubbish"):
        assert isinstance(reader, PieceReader)
        drawn = torch.Generator().manual_seed(seed)
        labels = lines.labels if method == "characters" else with_rubbish(lines, drawn)
        return PieceLabels(reader), MinimumEnergy(), (lines.pieces(), labels)
    energy = reading_energy(reader, shape, constrained=method != "frames")
    x = lines.columns() if method == "frames" else lines.pieces()
    lost = impossible(lines, energy, x)
    if lost:
        raise DomainError(
            f"{len(lost)} of {len(lines.texts)} lines cannot be read as what they say, the first is line {lost[0]}, "
            f"{lines.texts[lost[0]]!r}: it has too few cells. Leave such lines out."
        )
    shaping = HingePair(LeastAnswer(), margin=0.0, beta=float("inf")) if method == "Viterbi" else MaximumLikelihood()
    return energy, shaping, (x, energy.transcripts(lines.letters))
