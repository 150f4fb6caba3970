"""Word vectors from a text: by training an energy of pairs, and in closed form (system J4).

Shape letters: V words, D numbers of a vector.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import svds
from torch import Tensor

from lowland.data.word_pairs import NumberedText, drawn_pairs
from lowland.energies.word_pairs import WordPairs
from lowland.errors import OptionError
from lowland.shaping.base import Batch, Shaping
from lowland.training.fit import FitResult, fit
from lowland.training.samples import Lazy


def train_word_pairs(
    energy: WordPairs, text: NumberedText, shaping: Shaping, epochs: int = 5, window: int = 5, frequent: float = 1e-3,
    batch: int = 8192, rate: float = 2e-3, seed: int = 0, run: Path | None = None,
) -> FitResult:  # fmt: skip
    """Train an energy in place on so many passes over a text, each with its own draw of pairs, in mixed order.

    Args:
        energy: of the words of `text`, in their order.
        shaping: such as `NoiseContrastive(ratio=5, matched=False)`.
        epochs, window, frequent: see `drawn_pairs`.
        batch: pairs of a step.
        rate: learning rate of Adam at the start; it falls to 0 on a line, as that of word2vec.
        seed: of the draws and their order.
        run: folder to resume from.

    Raises:
        OptionError: for an energy of other words, no epoch, or a text without a pair.
    """
    if energy.words != text.words:
        raise OptionError("The energy has other words than the text: make it of `text.words`.")
    if epochs < 1:
        raise OptionError(f"epochs must be at least 1, but it is {epochs}.")
    draw = torch.Generator().manual_seed(seed)
    pairs = torch.cat([drawn_pairs(text, window, frequent, draw).int() for _ in range(epochs)])

    if not len(pairs):
        raise OptionError("No two words of the text stand near each other: raise `frequent`, or give more text.")
    batch = min(batch, len(pairs))

    def take(rows: Tensor) -> Batch:
        x, y = pairs[rows.cpu()].to(torch.get_default_dtype()).split(1, dim=1)
        return Batch(y.contiguous(), x.contiguous())

    steps = max(1, len(pairs) // batch)
    return fit(
        energy, Lazy(len(pairs), take, at_once=len(pairs)), shaping, steps, batch, rate, validation=0.0,
        schedule=lambda step: max(0.0, 1 - step / steps), seed=seed, progress=False, log_every=max(1, steps // 60),
        run=run, resume=run is not None,
    )  # fmt: skip


def mutual_information_vectors(
    counts: sparse.csr_array, features: int = 100, ratio: float = 1.0, power: float = 0.75
) -> Tensor:
    """Vectors u = U √S of the positive mutual information of words and their neighbours, (V, D), by a truncated SVD.

    The table is max(0, log p(x, y) / (p(x) q(y)) − log ν), with p from the counts and q ∝ p to the power: where
    negative sampling has its optimum, less what is negative (Levy & Goldberg 2014, equations 10 and 11; the power and
    the root of S from Levy, Goldberg & Dagan, "Improving distributional similarity with lessons learned from word
    embeddings", 2015).

    Args:
        counts: (V, V), see `pair_counts`.
        features: D.
        ratio: ν.

    Raises:
        OptionError: for more vectors than words allow, or a ratio that is not positive.

    >>> mutual_information_vectors(sparse.csr_array([[0.0, 2.0, 0.0], [2.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), 2).shape
    torch.Size([3, 2])
    """
    table = counts.tocoo()
    size = len(counts.indptr) - 1
    if not 1 <= features < size or not ratio > 0:
        raise OptionError(
            f"Vectors of {size} words have 1 to {size - 1} features and a positive ratio, not {features} and {ratio}."
        )
    each = np.asarray(counts.sum(axis=1)).ravel()
    noise = np.asarray(counts.sum(axis=0)).ravel() ** power
    with np.errstate(divide="ignore"):
        values = np.log(table.data / each[table.row]) - np.log(noise[table.col] / noise.sum()) - math.log(ratio)
    positive = sparse.csr_array((np.maximum(values, 0), (table.row, table.col)), (size, size))
    start = np.ones(size)  # of the iteration, so that results repeat
    left, scale, _ = svds(positive, k=features, v0=start)
    assert left is not None
    order = np.argsort(-scale)
    return torch.from_numpy(np.ascontiguousarray(left[:, order] * np.sqrt(scale[order]))).float()
