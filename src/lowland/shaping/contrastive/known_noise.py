"""Noise of known density, fitted to data: what noise-contrastive estimation compares data with."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lowland.errors import DomainError
from lowland.tensors import PerSampleRNG


class KnownNoise(Protocol):
    """Points that can be drawn, and how likely each is."""

    def draw(self, noise: PerSampleRNG, count: int) -> Tensor:
        """(B · count, D), `count` points for each row of `noise`."""
        ...

    def log_density(self, y: Tensor) -> Tensor:
        """Log p_n(y), (B,)."""
        ...


class Gaussians(NamedTuple):
    """A mixture of K equal Gaussians: `means` (K, D), and `factor` (D, D), the Cholesky factor of their covariance.

    K = 1 is one Gaussian with full covariance.
    """

    means: Tensor
    factor: Tensor

    @classmethod
    def fit(cls, y: Tensor, components: int, widen: float, floor: float, generator: torch.Generator) -> Gaussians:
        """Split y (N, D) into cells around K random samples; take the cell means and the covariance within cells.

        The covariance is multiplied by `widen`², and `floor`² times the mean variance of a coordinate is added to its
        diagonal, so that it has full rank. Identical seeds share one cell.

        Raises:
            DomainError: for data that are all the same.
        """
        y_ = y.double()
        seeds = y_[torch.randperm(len(y), generator=generator)[:components].to(y.device)]
        nearest = torch.cdist(y_, seeds, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)
        _, nearest = nearest.unique(return_inverse=True)
        means = torch.stack([y_[nearest == k].mean(dim=0) for k in range(int(nearest.max()) + 1)])
        rest = y_ - means[nearest]
        ridge = floor**2 * y_.var(dim=0, correction=min(1, len(y) - 1)).mean() * torch.eye(y.shape[1]).to(y_)
        factor, failed = torch.linalg.cholesky_ex(widen**2 * rest.T @ rest / len(y) + ridge)
        if bool(failed):
            raise DomainError(f"All {len(y)} samples are the same: no noise can be fitted to their spread.")
        return cls(means.to(y), factor.to(y))

    def draw(self, noise: PerSampleRNG, count: int) -> Tensor:
        """(B · count, D), `count` points for each row of `noise`."""
        components, features = self.means.shape
        which = (noise.uniform(count) * components).long().clamp_max(components - 1)
        return (self.means[which] + noise.normal(count, features) @ self.factor.T).reshape(-1, features)

    def log_density(self, y: Tensor) -> Tensor:
        """Log p_n(y), (B,)."""
        white_KDB = torch.linalg.solve_triangular(self.factor, (y[None] - self.means[:, None]).mT, upper=False)
        log_volume = self.factor.diagonal().log().sum() + 0.5 * y.shape[1] * math.log(2 * math.pi)
        nearness_B = torch.logsumexp(-0.5 * white_KDB.square().sum(dim=1), dim=0)
        return nearness_B - log_volume - math.log(len(self.means))


class Frequencies(NamedTuple):
    """Tokens drawn at each place by how often they stand there: `weights` (T, K), whose rows sum to 1.

    >>> Frequencies.fit(torch.tensor([[0.0], [0.0], [1.0]]), categories=2, power=1.0).weights
    tensor([[0.6667, 0.3333]], dtype=torch.float64)
    """

    weights: Tensor

    @classmethod
    def fit(cls, y: Tensor, categories: int, power: float) -> Frequencies:
        """Frequencies in y (N, T) to some power, such as 0.75, by which rare tokens are drawn more often.

        Raises:
            DomainError: for places without a token.
        """
        if bool((y < 0).any()):
            raise DomainError("Noise is drawn for each place of a sequence, but some places hold no token.")
        counts = torch.stack([torch.bincount(column, minlength=categories) for column in y.long().T]).double()
        weights = torch.where(counts > 0, counts.pow(power), 0.0)
        return cls(weights / weights.sum(dim=1, keepdim=True))

    def draw(self, noise: PerSampleRNG, count: int) -> Tensor:
        places, categories = self.weights.shape
        chance = noise.uniform(count, places).reshape(-1, places).T.double().contiguous()
        drawn = torch.searchsorted(self.weights.cumsum(dim=1), chance, right=True)
        last = categories - 1 - (self.weights.flip(1) > 0).int().argmax(dim=1)
        return drawn.clamp(max=last[:, None]).T.to(noise.dtype)

    def log_density(self, y: Tensor) -> Tensor:
        return self.weights.log().T[y.long(), torch.arange(y.shape[1], device=y.device)].sum(dim=1).to(y.dtype)
