"""The Fréchet distance between two samples, each modelled as a Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import ShapeError


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """d² = ‖m₁ − m₂‖² + tr(S₁ + S₂ − 2 (S₁ S₂)^½), in squared units of y; 0 for equal means and covariances.

    Source: Dowson & Landau, "The Fréchet distance between multivariate normal distributions" (1982). Only means and
    covariances count. Covariances are sample covariances (divided by N − 1), so two samples of one distribution have a
    distance of order D/N, not 0.

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
    a_D, b_D = a_ND.mean(dim=0), b_ND.mean(dim=0)
    # With S = RᵀR, tr (S₁ S₂)^½ is the sum of the singular values of R₁R₂ᵀ: this avoids the square root of rounding
    # errors in directions without variance.
    roots = [(a_ND - a_D) / (len(a_ND) - 1) ** 0.5, (b_ND - b_D) / (len(b_ND) - 1) ** 0.5]
    first_RD, second_RD = (torch.linalg.qr(root, mode="r").R for root in roots)
    traces = first_RD.square().sum() + second_RD.square().sum()
    spread = traces - 2 * torch.linalg.svdvals(first_RD @ second_RD.T).sum()
    rounding = 10 * a_ND.shape[1] * torch.finfo(torch.float64).eps * traces
    return float((a_D - b_D).square().sum() + (spread if spread > rounding else 0.0))
