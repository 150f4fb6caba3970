"""Learns what the lines of a log usually say: `MaskedText`, trained on the normal lines of a log (systems C3, J4).

Shape letters: N lines, T tokens, L earlier lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lowland.data.log_tokens import Vocabulary, tokens_of
from lowland.energies.masked_text import MaskedText
from lowland.errors import DataError
from lowland.nn.cloze import ClozeTransformer
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.denoising import Masked
from lowland.training.fit import FitResult, fit
from lowland.training.line_scoring import contexts, padded
from lowland.training.samples import Lazy
from lowland.training.schedules import warm_cosine

BATCH = 64
"""Lines of a step."""
LONGEST = 64
"""Tokens of a piece; a longer line is learned and scored in several."""
FEWEST = 100
"""Normal lines that are needed."""
_FEWEST_WORDS = 2


def usual_steps(count: int) -> int:
    """Training steps where nothing is said: ten passes over the lines, at least 400 and at most 4,000.

    >>> usual_steps(1000), usual_steps(6000), usual_steps(10**6)
    (400, 937, 4000)
    """
    return min(4000, max(400, 10 * count // BATCH))


def vocabulary_of(lines: list[str]) -> Vocabulary:
    """The words of normal lines.

    Raises:
        DataError: for lines of fewer than two words, from which nothing can be learned.
    """
    words = Vocabulary.of(lines)
    if len(words.words) < _FEWEST_WORDS:
        only = f"{words.words[0]!r}" if words.words else "none"
        raise DataError(
            f"The lines have {len(words.words)} words that come twice ({only}), and two are needed: with one there is "
            "nothing that could be unusual. Name a log of messages."
        )
    return words


def line_energy(words: Vocabulary, lines: list[str], before: int = 4, width: int = 64, seed: int = 0) -> MaskedText:
    """E(x, y, z) of such lines, not trained yet."""
    longest = max(2, *(len(tokens_of(line)) for line in lines))
    network = ClozeTransformer(
        len(words), min(LONGEST, longest), before, width, generator=torch.Generator().manual_seed(seed)
    )
    return MaskedText(network)


@dataclass(frozen=True)
class LineTraining:
    """Trains an energy of `line_energy` on normal lines in their order, with words hidden at random (`Masked`).

    Args:
        energy: trained in place.
        words: of the energy.
        lines: normal ones, N.
        steps: optimiser steps of 64 lines.
        rate: highest learning rate of Adam.
        hidden: smallest share of hidden words in a line; the largest is all.
        seed: of the order of the lines and of the hidden words.
    """

    energy: MaskedText
    words: Vocabulary
    lines: list[str]
    steps: int
    rate: float = 5e-3
    hidden: float = 0.5
    seed: int = 0

    def fit(self, **options: Any) -> FitResult:
        """Train; the options are those of `ll.fit`."""
        network = self.energy.network
        numbers = [self.words.numbers(line) for line in self.lines]
        length, before = network.length, network.before
        pieces = [(row, begin) for row, line in enumerate(numbers) for begin in range(0, len(line), length)]

        def draw(rows: Tensor) -> Batch:
            chosen = [pieces[row] for row in rows.tolist()]
            y = padded([numbers[row][begin : begin + length] for row, begin in chosen], length)
            past = contexts([numbers[max(0, row - before) : row] for row, _ in chosen], before, length)
            x = torch.full((len(chosen), before, length), -1)
            x[:, :, : past.shape[2]] = past
            return Batch(y.float(), x.flatten(1).float())

        shaping = Masked((0.0, 1 - self.hidden), seed=self.seed)
        return fit(
            self.energy, Lazy(len(pieces), draw), shaping, self.steps, min(BATCH, len(pieces)), self.rate, clip=1.0,
            schedule=partial(warm_cosine, self.steps), validation=0.0, seed=self.seed, progress=False,
            log_every=max(1, self.steps // 60), **options,
        )  # fmt: skip
