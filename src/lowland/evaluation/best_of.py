"""Several predictions for one input: the error of the best one, and cheap baselines with as many predictions.

Shape letters: B inputs, N predictions of each, n numbers of an answer, M known pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
