"""The Gaussian: an energy with everything in closed form."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Quadratic, Structure
from lowland.errors import ShapeError
from lowland.registry import register


@register("energy")
class Gaussian(Energy):
    """F(y) = ½ (y − μ)ᵀ P (y − μ), with the precision P = L Lᵀ positive definite for any parameters.

    L is lower triangular with a positive diagonal, stored as its logarithm. log Z = (D/2) log 2π − Σ log L_ii.
    Source: textbook.

    Args:
        n_features: D, the size of y.
        mean: (D,), initial μ; by default 0.
        precision: (D, D), initial P, in 1 / units of y²; by default the identity.

    Raises:
        ShapeError: if the mean or the precision has another shape, or the precision is not positive definite.

    >>> energy = Gaussian(2, precision=torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
    >>> energy(y=torch.ones(1, 2)).detach(), round(energy.log_partition(None).item(), 4)
    (tensor([2.0000]), 1.1447)
    """

    def __init__(self, n_features: int, mean: Tensor | None = None, precision: Tensor | None = None) -> None:
        super().__init__(y=Reals(n_features))
        mean = torch.zeros(n_features) if mean is None else mean
        precision = torch.eye(n_features, dtype=mean.dtype) if precision is None else precision
        if mean.shape != (n_features,) or precision.shape != (n_features, n_features):
            raise ShapeError(
                f"A Gaussian of {n_features} features needs a mean ({n_features},) and a precision "
                f"({n_features}, {n_features}), not {tuple(mean.shape)} and {tuple(precision.shape)}."
            )
        factor, failed = torch.linalg.cholesky_ex(precision.detach())
        if int(failed):
            raise ShapeError("The precision is not positive definite: give the inverse of a full-rank covariance.")
        self.mean = nn.Parameter(mean.detach().clone())
        self.log_diagonal = nn.Parameter(factor.diagonal().log())
        self.lower = nn.Parameter(factor.tril(-1))

    @classmethod
    def of(cls, y: Tensor, noise: float = 0.0) -> Gaussian:
        """The Gaussian of greatest likelihood of samples y (N, D), on their device.

        Args:
            noise: standard deviation of noise that is thought added to the samples, in units of y. Without it a feature
                that never varies, such as the border of digits, has no width and no Gaussian.

        Raises:
            ShapeError: if the samples leave a direction in which they do not vary.

        >>> y = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])
        >>> Gaussian.of(y).precision.detach()
        tensor([[1.0000, 0.0000], [0.0000, 0.2500]])
        """
        covariance = torch.cov(y.T.double(), correction=0) + noise**2 * torch.eye(y.shape[1]).to(y).double()
        precision, failed = torch.linalg.inv_ex(covariance)
        if int(failed):
            raise ShapeError("The samples do not vary in some direction: give a noise.")
        return cls(y.shape[1], y.mean(dim=0), precision.to(y)).to(y.device)

    @property
    def factor(self) -> Tensor:
        """L, (D, D)."""
        return self.lower.tril(-1) + torch.diag(self.log_diagonal.exp())

    @property
    def precision(self) -> Tensor:
        """P = L Lᵀ, (D, D)."""
        return self.factor @ self.factor.T

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return 0.5 * ((y - self.mean) @ self.factor).square().sum(dim=1)

    def log_partition(self, x: Any) -> Tensor:
        return 0.5 * len(self.mean) * math.log(2 * math.pi) - self.log_diagonal.sum()

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        gram = self.precision
        linear = (gram @ self.mean)[None]
        return Structure(
            quadratic=Quadratic(gram, linear, 0.5 * (linear @ self.mean)),
            lipschitz=torch.linalg.eigvalsh(gram.detach())[-1] * (1 + 1e-6),
            minimiser=lambda: self.mean[None].expand(1, -1),
            convex=True,
        )

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """The minimum is 0, at the mean."""
        mean = torch.tensor([1.0, -0.5])
        energy = cls(2, mean, torch.tensor([[2.0, 0.6], [0.6, 1.0]]))
        return ReferenceCase(energy, {}, "y", minimum=torch.zeros(1), minimiser=mean[None])
