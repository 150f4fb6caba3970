"""Noise-contrastive estimation: tell data from a known noise, and get log Z with it (row C2)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.energies.base import Energy
from lowland.energies.gaussian import Gaussian
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.shaping.contrastive.points import flat_vectors, free
from lowland.tensors import RowNoise


class FittedNoise(nn.Module):
    """A mixture of Gaussians with a shared covariance, Σ_k 1/K N(m_k, s² C): K = 1 is one Gaussian of full covariance.

    `fit` takes C from the data, within clusters for K > 1 (their centres are data points), with `floor`² times the mean
    variance added so that it has full rank.

    Args:
        components: K.
        widen: s ≥ 1 makes the noise wider than the data, so that it covers them.
        floor: see above.
    """

    means: Tensor
    factor: Tensor

    def __init__(self, components: int = 1, widen: float = 1.0, floor: float = 0.1) -> None:
        super().__init__()
        if components < 1 or not widen > 0 or not floor > 0:
            raise OptionError(
                f"Noise needs components ≥ 1, widen > 0 and floor > 0, not {components}, {widen} and {floor}."
            )
        self.components, self.widen, self.floor = components, widen, floor
        self.register_buffer("means", torch.zeros(0))
        self.register_buffer("factor", torch.zeros(0))

    def fit(self, y: Tensor, generator: torch.Generator) -> None:
        """Set means and covariance from data (N, D)."""
        if self.components == 1:
            means, rest = y.mean(dim=0, keepdim=True), y - y.mean(dim=0)
        else:
            means = y[torch.randperm(len(y), generator=generator)[: self.components].to(y.device)]
            nearest = torch.cdist(y, means).argmin(dim=1)
            means = torch.stack([y[nearest == k].mean(dim=0) for k in range(len(means))])
            rest = y - means[nearest]
        covariance = self.widen**2 * rest.T @ rest / len(y)
        ridge = self.floor**2 * y.var(dim=0).mean() * torch.eye(y.shape[1], dtype=y.dtype, device=y.device)
        self.means, self.factor = means, torch.linalg.cholesky(covariance + ridge)

    def draw(self, noise: RowNoise, count: int) -> Tensor:
        """(B · count, D), `count` points for each row of the noise."""
        components, features = self.means.shape
        which = (noise.uniform(count) * components).long().clamp_max(components - 1)
        white = noise.normal(count, features)
        return (self.means[which] + white @ self.factor.T).reshape(-1, features)

    def log_density(self, y: Tensor) -> Tensor:
        """Log p_n(y), (B,)."""
        white_KDB = torch.linalg.solve_triangular(self.factor, (y[None] - self.means[:, None]).mT, upper=False)
        distance_KB = 0.5 * white_KDB.square().sum(dim=1)
        log_volume = self.factor.diagonal().log().sum() + 0.5 * y.shape[1] * math.log(2 * math.pi)
        return torch.logsumexp(-distance_KB, dim=0) - log_volume - math.log(len(self.means))


@register("shaping")
class NoiseContrastive(Shaping):
    """L = −E_data log σ(G(y) − log ν) − ν E_noise log(1 − σ(G(ŷ) − log ν)), G = −F(y) − c − log p_n(y), and c → log Z.

    Source: Gutmann & Hyvärinen, "Noise-contrastive estimation" (2010) and (JMLR 2012). The noise p_n is fitted to the
    data once, in `prepare`: a Gaussian of full covariance, or a mixture of them.

    Args:
        ratio: ν, noise points for each sample.
        components, widen, floor: of the noise, see `FittedNoise`.
        seed: see `Shaping`.

    Attributes:
        log_partition: c, a parameter group of its own; log Z when trained.

    >>> case = NoiseContrastive.reference_case()
    >>> case.shaping.prepare(case.energy, case.batch)
    >>> sorted(case.shaping(case.energy, case.batch).losses)
    ['energy', 'log_partition']
    """

    rates = {"log_partition": 10.0}  # noqa: RUF012

    def __init__(
        self, ratio: int = 1, components: int = 1, widen: float = 1.0, floor: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__(seed)
        if ratio < 1:
            raise OptionError(f"ratio is the number of noise points for each sample, at least 1, not {ratio}.")
        self.ratio = ratio
        self.reference = FittedNoise(components, widen, floor)
        self.log_partition = nn.Parameter(torch.zeros(()))

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        return {"energy": energy.parameters(), "log_partition": [self.log_partition]}

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Fit the noise, and start c where data and noise have the same mean log-odds."""
        y = flat_vectors(self, data.y)
        with torch.no_grad():
            self.reference.fit(y, self.generator())
            self.log_partition.fill_((-free(energy, y, data.x) - self.reference.log_density(y)).mean())

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        y, shift = flat_vectors(self, batch.y), math.log(self.ratio)
        noise = self.reference.draw(self.noise(y), self.ratio)
        x = None if batch.x is None else batch.x.repeat_interleave(self.ratio, dim=0)
        data_logit = -free(energy, y, batch.x) - self.log_partition - self.reference.log_density(y) - shift
        noise_logit = -free(energy, noise, x) - self.log_partition - self.reference.log_density(noise) - shift
        loss = functional.softplus(-data_logit).mean() + self.ratio * functional.softplus(noise_logit).mean()
        right = 0.5 * ((data_logit > 0).float().mean() + (noise_logit < 0).float().mean())
        metrics = {"log_partition": self.log_partition.detach(), "accuracy": right}
        return Losses({"energy": loss, "log_partition": loss}, metrics)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 1 + 0.5 * RowNoise(0, torch.arange(64)).normal(2)
        return ShapingCase(cls(ratio=2, widen=2.0), Gaussian(2), Batch(y))
