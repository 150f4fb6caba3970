"""Readers of handwritten words, letter by letter or as a chain, and the ways to train them (systems V5, L1)."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from lowland.automata import chain, pieces
from lowland.data.handwritten_words import ALPHABET, SHAPE, Words
from lowland.energies.lattice import Lattice
from lowland.nn.convolutional import convolution
from lowland.nn.layers import linear
from lowland.nn.line_readers import CellCosts
from lowland.shaping.base import Shaping
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.shaping.contrastive.pair import HingePair
from lowland.shaping.contrastive.points import LeastAnswer, WrongAnswers
from lowland.training.fit import FitResult, fit
from lowland.training.schedules import falling

Network: TypeAlias = Literal["linear", "ConvNet"]
Loss: TypeAlias = Literal["likelihood", "perceptron", "hinge"]
LONGEST = 16
"""Letters of the longest word that can be read."""
_DECAY = 1e-3


class WordMethod(NamedTuple):
    """How words are read, each letter alone or as a chain, and what is minimised in training."""

    network: Network
    chained: bool
    loss: Loss = "likelihood"


def word_energy(network: Network, chained: bool, generator: torch.Generator | None = None) -> Lattice:
    """E(x, y) = Σ_t c(x_t)[y_t] + Σ_t w[y_t−1, y_t]: x_t the image of letter t, c of a network, w learned.

    Without `chained` there is no second sum, and the letters do not know of each other. The chain is the linear-chain
    conditional random field of Lafferty, McCallum & Pereira (2001), when it is trained by likelihood.

    Args:
        network: "linear" or "ConvNet", two stages of 24 and 48 maps.
        chained: whether neighbours have a cost.
        generator: draws the weights.

    >>> word_energy("linear", chained=True).weight.shape
    torch.Size([702])
    """
    generator = generator or torch.Generator().manual_seed(0)
    letters, (_, height, width) = len(ALPHABET), SHAPE
    if network == "linear":
        scores = nn.Sequential(nn.Flatten(), linear(height * width, letters, generator))
    else:
        scores = nn.Sequential(
            convolution(1, 24, generator), nn.ReLU(), nn.MaxPool2d(2), convolution(24, 48, generator), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), linear(48 * (height // 4) * (width // 4), letters, generator),
        )  # fmt: skip
    costs = CellCosts(scores, LONGEST, SHAPE)
    return Lattice(costs, chain(letters) if chained else pieces(letters), LONGEST, lengths=True, learned=chained)


def neighbours(energy: Lattice) -> Tensor:
    """w[j, k], what a chain has learned letter k to cost after letter j, (26, 26)."""
    assert energy.weight is not None
    return energy.weight.detach()[: len(ALPHABET) ** 2].reshape(len(ALPHABET), len(ALPHABET))


def word_shaping(loss: Loss) -> Shaping:
    """The loss of a chain: likelihood, the perceptron's, or a margin of 1 to the most offending wrong word."""
    if loss == "likelihood":
        return MaximumLikelihood()
    if loss == "perceptron":
        return HingePair(LeastAnswer(), margin=0.0, beta=math.inf)
    return HingePair(WrongAnswers(), margin=1.0, beta=math.inf)


def train_words(
    energy: Lattice, words: Words, loss: Loss, steps: int, batch: int = 32, rate: float = 3e-3, seed: int = 0
) -> FitResult:
    """Train an energy of `word_energy` in place, with AdamW and a rate that falls to zero.

    Args:
        energy: of letters or of chains.
        words: to learn from.
        loss: see `word_shaping`.
        steps: optimiser steps.
        batch: words of a step.
        rate: first learning rate.
        seed: of the order of the words.
    """
    data = words.inputs(LONGEST), energy.transcripts(words.answers)
    return fit(
        energy, data, word_shaping(loss), steps, min(batch, len(words.lengths)), rate, "adamw", _DECAY, clip=5.0,
        schedule=partial(falling, steps), validation=0.0, seed=seed, progress=False, log_every=max(1, steps // 60),
    )  # fmt: skip
