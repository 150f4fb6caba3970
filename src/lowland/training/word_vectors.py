"""Word vectors from a text: by training an energy of pairs, and in closed form (system J4).

Shape letters: V words, D numbers of a vector.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import svds
from torch import Tensor

from lowland.compiled import usable
from lowland.data.word_pairs import NumberedText, drawn_pairs
from lowland.energies.word_pairs import WordPairs
from lowland.errors import OptionError, TrainingError
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
    _check(energy, text, epochs)
    draw = torch.Generator().manual_seed(seed)
    pairs = _some(torch.cat([drawn_pairs(text, window, frequent, draw).int() for _ in range(epochs)]))
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


def descend_word_pairs(
    energy: WordPairs, text: NumberedText, ratio: int = 5, power: float = 0.75, epochs: int = 5, window: int = 5,
    frequent: float = 1e-3, rate: float = 0.025, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train an energy in place by negative sampling, one pair after the other, as word2vec and fastText do.

    The loss of a pair is log(1 + exp E(x, y)) + Σ_k log(1 + exp(−E(x, ŷ_k))), ŷ_k drawn by the frequency of words to
    some power: that of `NoiseContrastive(matched=False)`, for one pair. Each step sees what the one before it did, and
    moves the few vectors that it needs; batches move all of them at once, and frequent words too far or rare ones too
    little. Source: Mikolov et al. (2013), see `WordPairs`; the rate and its fall are theirs.

    Args:
        energy: of the words of `text`, in their order, in the processor's memory.
        ratio: K, noise words of each pair.
        power: of the frequencies.
        epochs, window, frequent: see `drawn_pairs`.
        rate: of the first step; it falls on a line to a thousandth.
        seed: of the draws and their order.

    Returns:
        The mean loss of a pair in each pass.

    Raises:
        OptionError: for an energy of other words, no epoch, no noise, a rate that is not positive, a text without a
            pair, or without numba.
        TrainingError: if the vectors become infinite.
    """
    _check(energy, text, epochs)
    if ratio < 1 or not rate > 0:
        raise OptionError(f"Negative sampling needs a ratio and a rate above 0, not {ratio} and {rate}.")
    if not usable(energy.vectors, energy.near):
        raise OptionError(
            "Descent from pair to pair is compiled by numba, on the processor: pip install 'lowland[fast]'. "
            "`train_word_pairs` works in batches, without it."
        )
    from lowland.compiled.word_pairs import descend

    draw = torch.Generator().manual_seed(seed)
    there = energy.parts >= 0
    begin = torch.cat([torch.zeros(1, dtype=torch.int64), there.sum(dim=1).cumsum(0)])
    arrays = [energy.vectors.detach(), energy.near.detach(), energy.parts[there], begin]
    weights, losses = text.counts.double().pow(power), []
    for epoch in range(epochs):
        pairs = _some(drawn_pairs(text, window, frequent, draw))
        pairs = pairs[torch.randperm(len(pairs), generator=draw)]
        noise = torch.multinomial(weights, len(pairs) * ratio, replacement=True, generator=draw).reshape(-1, ratio)
        first, last = (max(1e-3, 1 - passed / epochs) * rate for passed in (epoch, epoch + 1))
        losses.append(cast(Any, descend)(*(part.numpy() for part in (*arrays, pairs, noise)), first, last))
        if not math.isfinite(losses[-1]):
            raise TrainingError(f"The word vectors became infinite in pass {epoch + 1}: lower the rate, {rate:g}.")
    return losses


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


def _check(energy: WordPairs, text: NumberedText, epochs: int) -> None:
    if energy.words != text.words:
        raise OptionError("The energy has other words than the text: make it of `text.words`.")
    if epochs < 1:
        raise OptionError(f"epochs must be at least 1, but it is {epochs}.")


def _some(pairs: Tensor) -> Tensor:
    if not len(pairs):
        raise OptionError("No two words of the text stand near each other: raise `frequent`, or give more text.")
    return pairs
