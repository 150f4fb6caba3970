"""The Fréchet distance between two samples, each taken for a Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import ShapeError


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """d² = ‖m₁ − m₂‖² + tr(S₁ + S₂ − 2 (S₁ S₂)^½), in squared units of y; 0 for equal means and covariances.

    Source: Dowson & Landau, "The Fréchet distance between multivariate normal distributions" (1982). It sees no more
    than means and covariances. Covariances are those of the samples (divided by N − 1), so that two samples of one
    distribution are of the order of D/N apart, not 0.

    Args:
        first, second: (N, D) and (M, D), at least two rows each.

    Raises:
        ShapeError: for other shapes.

    >>> points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> frechet_distance(points, points + torch.tensor([3.0, 4.0]))
    25.0
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise ShapeError(
            "The Fréchet distance needs two samples (N, D) of at least two rows and equal D, but the shapes are "
            f"{tuple(first.shape)} and {tuple(second.shape)}."
        )
    a_ND, b_ND = first.detach().double(), second.detach().double()
    size = a_ND.shape[1]
    a_DD, b_DD = (torch.cov(sample.T).reshape(size, size) for sample in (a_ND, b_ND))
    values, vectors = torch.linalg.eigh(a_DD)
    root_DD = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    # S₁ S₂ and S₁^½ S₂ S₁^½ have the same eigenvalues, and the second is symmetric.
    cross = torch.linalg.eigvalsh(root_DD @ b_DD @ root_DD).clamp_min(0).sqrt().sum()
    gap = (a_ND.mean(0) - b_ND.mean(0)).square().sum()
    return max(0.0, round(float(gap + a_DD.trace() + b_DD.trace() - 2 * cross), 12))
