"""How well vectors of words agree with people on which words are alike (system J4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional

_DRAWS = 1000


def agreement(
    vector: Callable[[str], Tensor | None], pairs: Sequence[tuple[str, str, float]], seed: int = 0
) -> dict[str, Any]:
    """Spearman's rank correlation of the cosine of two vectors with the ratings of people.

    Args:
        vector: of a word, or None if it has none; pairs with such a word are left out, and counted.
        pairs: two words and a rating.
        seed: of the bootstrap.

    Returns:
        `correlation`, its 95 % interval over draws of pairs with replacement as `low` and `high`, and `pairs`, how many
        have two vectors. With fewer than 3 pairs the correlations are NaN.

    >>> table = {"cat": torch.tensor([1.0, 0.0]), "dog": torch.tensor([1.0, 0.2]), "law": torch.tensor([0.0, 1.0])}
    >>> rated = [("cat", "dog", 9.0), ("dog", "law", 2.0), ("cat", "law", 1.0), ("cat", "boa", 5.0)]
    >>> found = agreement(table.get, rated)
    >>> found["correlation"], found["pairs"]
    (1.0, 3)
    """
    known = [(one, other, rating) for a, b, rating in pairs if (one := vector(a)) is not None
             and (other := vector(b)) is not None]  # fmt: skip
    if len(known) < 3:
        return {"correlation": float("nan"), "low": float("nan"), "high": float("nan"), "pairs": len(known)}
    cosines = np.array([float(functional.cosine_similarity(one, other, dim=0)) for one, other, _ in known])
    ratings = np.array([rating for *_, rating in known])
    rows = np.random.default_rng(seed).integers(len(known), size=(_DRAWS, len(known)))
    drawn = [_spearman(cosines[row], ratings[row]) for row in rows]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {
        "correlation": _spearman(cosines, ratings), "low": float(low), "high": float(high), "pairs": len(known),
    }  # fmt: skip


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    ranks = stats.rankdata(np.stack([one, other]), axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((ranks**2).sum(axis=1).prod())
    return float((ranks[0] * ranks[1]).sum() / scale) if scale else float("nan")


def nearest_words(
    table: Tensor, words: list[str] | tuple[str, ...], asked: str, count: int = 8
) -> list[tuple[str, float]]:
    """The words of largest cosine to one of the words, without itself.

    >>> nearest_words(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), ["cat", "dog", "law"], "cat", 1)[0][0]
    'dog'
    """
    number = list(words).index(asked)
    unit = functional.normalize(table, dim=1)
    near = unit @ unit[number]
    near[number] = -torch.inf
    values, rows = near.topk(min(count, len(words) - 1))
    return [(words[row], float(value)) for row, value in zip(rows.tolist(), values.tolist(), strict=True)]
