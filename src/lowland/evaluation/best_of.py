"""Several predictions for one input: the error of the best one, and cheap baselines with as many predictions.

Shape letters: B inputs, N predictions of each, n numbers of an answer, M known pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lowland.tensors import PerSampleRNG

SCALES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Sizes of the noise that `best_of_noise` tries."""


def squared_errors(predictions: Tensor, y: Tensor) -> Tensor:
    """‖y − ŷ‖² of each prediction, (B, N).

    Args:
        predictions: (B, N, n).
        y: (B, n).
    """
    return (predictions - y[:, None]).square().sum(dim=2)


def best_of(predictions: Tensor, y: Tensor) -> Tensor:
    """Minimum of ‖y − ŷ‖² over N, (B,): the error of the best of several predictions.

    It rewards spread, so compare it with cheap sources of spread: noise around one answer (`residual_root`), or the
    answers of nearby known inputs (`nearest_rows`).

    >>> best_of(torch.tensor([[[0.0], [3.0]]]), torch.tensor([[1.0]]))
    tensor([1.])
    """
    return squared_errors(predictions, y).amin(dim=1)


def nearest_rows(x: Tensor, known: Tensor, count: int, chunk: int = 500) -> Tensor:
    """Rows of the `count` known inputs nearest to each x, the nearest first, (B, count) int64.

    Args:
        x: (B, m).
        known: (M, m).
        count: N ≤ M.
        chunk: inputs at once, which bounds memory by chunk · M numbers.

    >>> nearest_rows(torch.tensor([[0.9]]), torch.tensor([[0.0], [1.0], [5.0]]), 2)
    tensor([[1, 0]])
    """
    found = []
    for part in x.split(chunk):
        away = torch.cdist(part, known, compute_mode="donot_use_mm_for_euclid_dist")
        found.append(away.topk(count, largest=False).indices)
    return torch.cat(found)


def residual_root(residuals: Tensor) -> Tensor:
    """R (n, n) with Rᵀ R = cov(residuals): ε R with ε ~ N(0, 1) is Gaussian noise with their covariance.

    Args:
        residuals: (M, n), the errors of an answer on known pairs.

    >>> residuals = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> root = residual_root(residuals)
    >>> torch.allclose(root.T @ root, torch.cov(residuals.T), atol=1e-6)
    True
    """
    values, vectors = torch.linalg.eigh(torch.cov(residuals.T.double()))
    return (vectors * values.clamp_min(0).sqrt()).float().T


def best_of_nearest(x: Tensor, y: Tensor, known: Tensor, answers: Tensor, count: int, chunk: int = 500) -> float:
    """Mean error of the best of the answers to the known inputs nearest to each x: a baseline that learns nothing.

    Args:
        x, y: (B, m) and (B, n).
        known, answers: (M, m) and (M, n), known pairs.
        count: N ≤ M, the inputs whose answers count.
        chunk: inputs at once, which bounds memory by chunk · (M + N n) numbers.

    >>> known, answers = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0.0], [2.0], [9.0]])
    >>> best_of_nearest(torch.tensor([[0.9]]), torch.tensor([[1.0]]), known, answers, 2)
    1.0
    """
    parts = zip(x.split(chunk), y.split(chunk), strict=True)
    errors = [best_of(answers[nearest_rows(some, known, count)], truth).sum().item() for some, truth in parts]
    return sum(errors) / len(x)


def best_of_noise(
    validation: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    count: int,
    root: Tensor | None = None,
    scales: Sequence[float] = SCALES,
    seed: int = 0,
) -> float:
    """Mean error, on test pairs, of the best of N guesses ŷ + s ε R around one answer ŷ, with ε ~ N(0, 1).

    Args:
        validation, test: ŷ and y, (B, n) each; the size s of the noise is chosen on the validation pairs.
        count: N.
        root: R (n, n), see `residual_root`; None for white noise.
        scales: the sizes to try.
        seed: of ε.

    >>> best_of_noise((torch.zeros(4, 1), torch.zeros(4, 1)), (torch.ones(2, 1), torch.zeros(2, 1)), 3)
    1.0
    """

    def error(pairs: tuple[Tensor, Tensor], scale: float) -> float:
        answer, y = pairs
        noise = PerSampleRNG(seed, torch.arange(len(y), device=y.device)).normal(count, y.shape[1])
        return best_of(answer[:, None] + scale * (noise if root is None else noise @ root), y).mean().item()

    return error(test, min(scales, key=lambda scale: error(validation, scale)))
