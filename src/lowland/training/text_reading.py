"""A reader of a user's lines of text: `FrameReader`, trained on pairs of a picture and what it says (systems V4, V5).

Legend: N lines, W columns, C frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.automata import Automaton, frames, regular, words
from lowland.bounded import read_bytes
from lowland.data.text_lines import HEIGHT, TextLines
from lowland.data.views.lines import LineChanges
from lowland.energies.lattice import Lattice
from lowland.errors import DataError, LowlandError
from lowland.nn.line_readers import AROUND, STRIDE, FrameReader
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.training.fit import FitResult, fit
from lowland.training.pace import STEPS, pace
from lowland.training.samples import Lazy
from lowland.training.schedules import warm_cosine

BATCH = 16
"""Lines of a step."""
_ROOM = 1.1


class Parts(NamedTuple):
    """Rows of the lines to learn from, to choose a threshold on, and to test on."""

    train: list[int]
    validation: list[int]
    test: list[int]


def split_lines(count: int, seed: int) -> Parts:
    """70, 15 and 15 % of N lines, drawn at random.

    >>> [len(part) for part in split_lines(20, seed=0)]
    [14, 3, 3]
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    held = max(1, round(0.15 * count))
    return Parts(sorted(order[2 * held :]), sorted(order[:held]), sorted(order[held : 2 * held]))


def frames_of(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """How many frames each line has, (N,)."""
    return torch.tensor([float(-(-image.shape[1] // STRIDE)) for image in images])


def line_batch(images: Sequence[NDArray[np.uint8]], width: int = 0) -> dict[str, Tensor]:
    """Lines as the input of a `FrameReader`, with paper behind the shorter ones.

    Args:
        images: uint8 (32, W) each, 255 is ink.
        width: columns of the result; by default those of the longest, and the paper that its end looks at.

    >>> batch = line_batch([np.zeros((32, 30), np.uint8), np.zeros((32, 9), np.uint8)])
    >>> batch["image"].shape, batch["cells"]
    (torch.Size([2, 1, 32, 56]), tensor([8., 3.]))
    """
    cells = frames_of(images)
    ready = torch.zeros(len(images), 1, HEIGHT, max(width, STRIDE * int(cells.max()) + AROUND))
    for row, image in enumerate(images):
        ready[row, 0, :, : image.shape[1]] = torch.from_numpy(image.astype(np.float32) / 255)
    return {"image": ready, "cells": cells}


def spelled(texts: Sequence[str], alphabet: str) -> list[list[int]]:
    """The texts as numbers of letters."""
    number = {letter: k for k, letter in enumerate(alphabet)}
    return [[number[letter] for letter in text] for text in texts]


def room_for(images: Sequence[NDArray[np.uint8]]) -> int:
    """W of a reader of these lines, with room for those that grow in training."""
    longest = max(image.shape[1] for image in images)
    return -(-round(_ROOM * longest) // STRIDE) * STRIDE + AROUND


def text_energy(alphabet: str, width: int, seed: int = 0) -> Lattice:
    """E(x, y, z) of letters from frames, not trained yet: CTC with the network `FrameReader`."""
    letters = len(alphabet)
    reader = FrameReader(HEIGHT, width, letters, generator=torch.Generator().manual_seed(seed))
    return Lattice(reader, frames(letters), width // STRIDE, lengths=True)


def too_long(energy: Lattice, lines: TextLines, alphabet: str) -> list[int]:
    """The lines whose text has no path: more letters, and blanks between equal ones, than frames."""
    cells = frames_of(lines.images)
    # An answer cannot have more letters than there are cells in all.
    long = {row for row, text in enumerate(lines.said) if len(text) > energy.cells}
    rows = [row for row in range(len(lines.said)) if row not in long]
    y = energy.transcripts(spelled([lines.said[row] for row in rows], alphabet))
    there = energy.possible({"cells": cells[rows]}, y) if rows else torch.ones(0, dtype=torch.bool)
    return sorted(long | {row for row, good in zip(rows, there.tolist(), strict=True) if not good})


def fitting(lines: TextLines, alphabet: str) -> TextLines:
    """The lines without those that are too long to be written in their picture, which are said to be left out."""
    if not alphabet:
        return lines
    known = lines.known
    some = lines.take(known)
    lost = {known[row] for row in too_long(text_energy(alphabet, room_for(some.images)), some, alphabet)}
    left = [(lines.files[row], f"is too narrow for its transcript, {lines.texts[row]!r}") for row in sorted(lost)]
    kept = lines.take([row for row in range(len(lines.files)) if row not in lost])
    return kept._replace(skipped=[*lines.skipped, *left])


def usual_steps(count: int) -> int:
    """Training steps where nothing is said: forty passes over the lines, at least 400 and at most 6,000.

    >>> usual_steps(140), usual_steps(700), usual_steps(14000)
    (400, 1750, 6000)
    """
    return min(6000, max(400, 40 * count // BATCH))


@dataclass(frozen=True)
class TextTraining:
    """Trains an energy of `text_energy` on lines by likelihood, summed over all alignments.

    Args:
        energy: trained in place.
        lines: with transcripts.
        alphabet: of the energy.
        steps: optimiser steps of 16 lines.
        rate: highest learning rate of Adam.
        distort: whether lines are changed a little, anew in each step; see `LineChanges`.
        seed: of the order of the lines and of the changes.
    """

    energy: Lattice
    lines: TextLines
    alphabet: str
    steps: int
    rate: float = 2e-3
    distort: bool = True
    seed: int = 0

    def fit(self, **options: Any) -> FitResult:
        """Train; the options are those of `ll.fit`."""
        images = self.lines.images
        y = self.energy.transcripts(spelled(self.lines.said, self.alphabet))
        width = STRIDE * self.energy.cells

        def draw(rows: Tensor) -> Batch:
            return Batch(y[rows], line_batch([images[row] for row in rows.tolist()], width))

        shaping = MaximumLikelihood(LineChanges() if self.distort else None, seed=self.seed)
        options = {"max_steps": self.steps, "log_every": max(1, self.steps // 60), **options}
        return fit(
            self.energy, Lazy(len(images), draw), shaping, batch_size=min(BATCH, len(images)), lr=self.rate, clip=5.0,
            schedule=partial(warm_cosine, self.steps), validation=0.0, seed=self.seed, progress=False, **options,
        )  # fmt: skip

    def seconds(self) -> float:
        """Wall time of a step in seconds, measured on an energy of its own; see `pace`."""
        device = next(self.energy.parameters()).device
        like = text_energy(self.alphabet, STRIDE * self.energy.cells, self.seed).to(device)
        return pace(dataclasses.replace(self, energy=like, steps=STEPS).fit)


def read_grammar(grammar: str, alphabet: str) -> tuple[Automaton, list[str]]:
    """The texts that may be read, and notes: from a file of words, one a line, or else a regular expression.

    Words with a character that the alphabet lacks are left out, since the reader does not know it.

    Raises:
        DataError: for a file that cannot be read, or of which no word is left.
        OptionError, DomainError: for an expression that cannot be read, or that no text of the alphabet matches.
    """
    path = Path(grammar)
    try:
        there = path.is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        return regular(grammar, alphabet), []
    try:
        listed = [word for line in read_bytes(path).decode("utf-8-sig").splitlines() if (word := line.strip())]
    except (OSError, UnicodeDecodeError, LowlandError) as error:
        raise DataError(f"The words in {path} cannot be read ({error}): one a line, in UTF-8.") from None
    known = [word for word in listed if set(word) <= set(alphabet)]
    if not known:
        raise DataError(f"{path} has {len(listed)} words, but none is made of the characters of the transcripts alone.")
    lost = len(listed) - len(known)
    notes = (
        [f"{lost} of {len(listed)} words have characters that no transcript has, and are never read."] if lost else []
    )
    return words(known, alphabet), notes


def refused(grammar: Automaton, lines: TextLines, alphabet: str) -> list[str]:
    """A note on the transcripts that a grammar does not accept, whose lines can only be read wrongly."""
    pairs = zip(lines.said, spelled(lines.said, alphabet), strict=True)
    lost = [text for text, letters in pairs if not grammar.accepts(letters)]
    first = f"The grammar refuses {len(lost)} of {len(lines.said)} transcripts, such as"
    return [f"{first} {lost[0]!r}: these lines are read wrongly."] if lost else []
