"""Noise-contrastive estimation: classify data against known noise, which also estimates log Z (system C2)."""

from __future__ import annotations

import math
import types
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.energies.base import Energy
from lowland.energies.gaussian import Gaussian
from lowland.errors import DomainError, OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.contrastive.points import flat_vectors
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG


class Noise(NamedTuple):
    """A mixture of K equal Gaussians: `means` (K, D), and `factor` (D, D), the Cholesky factor of their covariance.

    K = 1 is one Gaussian with full covariance.
    """

    means: Tensor
    factor: Tensor

    @classmethod
    def fit(cls, y: Tensor, components: int, widen: float, floor: float, generator: torch.Generator) -> Noise:
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


@register("shaping")
class NoiseContrastive(FreeEnergyShaping):
    """L = −E_data log σ(G(y) − log ν) − ν E_noise log(1 − σ(G(ŷ) − log ν)), G = −F(y) − c − log p_n(y), and c → log Z.

    Source: Gutmann & Hyvärinen, "Noise-contrastive estimation" (2010) and (JMLR 2012). The noise p_n is fitted to the
    data once, in `prepare`: a Gaussian of full covariance, or a mixture of them.

    Energies: any with a continuous y, one vector.

    Args:
        ratio: ν, noise points for each sample.
        components: K, the number of Gaussians in the noise.
        widen: factor on the spread of the noise; above 1 it is wider than the data.
        floor: smallest standard deviation of the noise, relative to that of the data.
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    `log_partition` is c, a separate parameter group.

    Raises:
        OptionError: for options outside their range, or if `prepare` was not called.

    >>> case = NoiseContrastive.reference_case()
    >>> case.shaping.prepare(case.energy, case.batch)
    >>> sorted(case.shaping(case.energy, case.batch).losses)
    ['energy', 'log_partition']
    """

    means: Tensor
    factor: Tensor
    rates = types.MappingProxyType({"log_partition": 10.0})

    def __init__(
        self,
        ratio: int = 1,
        components: int = 1,
        widen: float = 1.0,
        floor: float = 0.1,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if ratio < 1:
            raise OptionError(f"ratio is the number of noise points for each sample, at least 1, not {ratio}.")
        if components < 1 or not widen > 0 or not floor > 0:
            raise OptionError(
                f"Noise needs components ≥ 1, widen > 0 and floor > 0, not {components}, {widen} and {floor}."
            )
        self.ratio, self.components, self.widen, self.floor = ratio, components, widen, floor
        self.register_buffer("means", torch.zeros(0))
        self.register_buffer("factor", torch.zeros(0))
        self.log_partition = nn.Parameter(torch.zeros(()))

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        return {"energy": energy.parameters(), "log_partition": [self.log_partition]}

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Fit the noise, and initialise c so that G has mean 0 over the data."""
        super().prepare(energy, data)
        y = flat_vectors(self, data.y)
        with torch.no_grad():
            fitted = Noise.fit(y, self.components, self.widen, self.floor, self.generator())
            self.means, self.factor = fitted
            self.log_partition.fill_((-self.free(energy, y, data.x) - fitted.log_density(y)).mean())

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        y, shift = flat_vectors(self, batch.y), math.log(self.ratio)
        if not len(self.means):
            raise OptionError("The noise is not fitted: call prepare(energy, data) before the first step.")
        known = Noise(self.means, self.factor)
        noise = known.draw(self.noise(y), self.ratio)
        x = None if batch.x is None else batch.x.repeat_interleave(self.ratio, dim=0)
        data_logit = -self.free(energy, y, batch.x) - self.log_partition - known.log_density(y) - shift
        noise_logit = -self.free(energy, noise, x) - self.log_partition - known.log_density(noise) - shift
        loss = functional.softplus(-data_logit).mean() + self.ratio * functional.softplus(noise_logit).mean()
        right = 0.5 * ((data_logit > 0).float().mean() + (noise_logit < 0).float().mean())
        metrics = {"log_partition": self.log_partition.detach(), "accuracy": right}
        return Losses({"energy": loss, "log_partition": loss}, metrics)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 1 + 0.5 * PerSampleRNG(0, torch.arange(64)).normal(2)
        return ShapingCase(cls(ratio=2, widen=2.0), Gaussian(2), Batch(y))
