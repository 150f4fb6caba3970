"""Noise-contrastive estimation: classify data against known noise, which also estimates log Z (system C2)."""

from __future__ import annotations

import math
import types
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Tokens
from lowland.energies.base import Energy
from lowland.energies.gaussian import Gaussian
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.contrastive.known_noise import Frequencies, Gaussians, KnownNoise
from lowland.shaping.contrastive.points import flat_vectors
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG, repeat_rows


@register("shaping")
class NoiseContrastive(FreeEnergyShaping):
    """L = −E_data log σ(G(y) − log ν) − ν E_noise log(1 − σ(G(ŷ) − log ν)), G = −F(y) − c − log p_n(y), and c → log Z.

    Source: Gutmann & Hyvärinen, "Noise-contrastive estimation" (2010) and (JMLR 2012). The noise p_n is fitted to the
    data once, in `prepare`: a Gaussian of full covariance, or a mixture of them; for tokens their frequencies.

    With `matched=False` it is negative sampling (Mikolov et al. 2013, equation 4): c, log p_n and log ν are left out,
    G = −F(y). The least loss is then at −F(y) = log p(y) − log p_n(y) − log ν, so that F says how much more likely y is
    among the data than in the noise, and is no longer a log density.

    Energies: any with a continuous y, one vector, or with `Tokens`.

    Args:
        ratio: ν, noise points for each sample.
        components: K, the number of Gaussians in the noise.
        widen: factor on the spread of the noise; above 1 it is wider than the data.
        floor: smallest standard deviation of the noise, relative to that of the data.
        power: exponent of the frequencies of tokens.
        matched: whether log(ν p_n) is accounted for.
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
    weights: Tensor
    rates = types.MappingProxyType({"log_partition": 10.0})

    def __init__(
        self,
        ratio: int = 1,
        components: int = 1,
        widen: float = 1.0,
        floor: float = 0.1,
        power: float = 0.75,
        matched: bool = True,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if ratio < 1:
            raise OptionError(f"ratio is the number of noise points for each sample, at least 1, not {ratio}.")
        if components < 1 or not widen > 0 or not floor > 0 or not power >= 0:
            raise OptionError(
                f"Noise needs components ≥ 1, widen > 0, floor > 0 and power ≥ 0, not {components}, {widen}, {floor} "
                f"and {power}."
            )
        self.ratio, self.components, self.widen, self.floor = ratio, components, widen, floor
        self.power, self.matched = power, matched
        if not matched:
            self.rates = types.MappingProxyType[str, float]({})
        for name in ("means", "factor", "weights"):
            self.register_buffer(name, torch.zeros(0))
        self.log_partition = nn.Parameter(torch.zeros(()))

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        own: dict[str, Iterable[nn.Parameter]] = {"log_partition": [self.log_partition]} if self.matched else {}
        return {"energy": energy.parameters(), **own}

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Fit the noise, and initialise c so that G has mean 0 over the data."""
        super().prepare(energy, data)
        y, domain = flat_vectors(self, data.y), energy.domain("y")
        with torch.no_grad():
            if isinstance(domain, Tokens):
                (self.weights,) = Frequencies.fit(y, domain.categories, self.power)
            else:
                self.means, self.factor = Gaussians.fit(y, self.components, self.widen, self.floor, self.generator())
            if self.matched:
                self.log_partition.fill_((-self.free(energy, y, data.x) - self._known().log_density(y)).mean())

    def _known(self) -> KnownNoise:
        if len(self.weights):
            return Frequencies(self.weights)
        if not len(self.means):
            raise OptionError("The noise is not fitted: call prepare(energy, data) before the first step.")
        return Gaussians(self.means, self.factor)

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        y, known = flat_vectors(self, batch.y), self._known()
        noise = known.draw(self.noise(y), self.ratio)
        x = None if batch.x is None else repeat_rows(batch.x, self.ratio)
        data_logit, noise_logit = -self.free(energy, y, batch.x), -self.free(energy, noise, x)
        if self.matched:
            shift = self.log_partition + math.log(self.ratio)
            data_logit = data_logit - shift - known.log_density(y)
            noise_logit = noise_logit - shift - known.log_density(noise)
        loss = functional.softplus(-data_logit).mean() + self.ratio * functional.softplus(noise_logit).mean()
        right = 0.5 * ((data_logit > 0).float().mean() + (noise_logit < 0).float().mean())
        metrics = {"log_partition": self.log_partition.detach(), "accuracy": right}
        losses = {"energy": loss, "log_partition": loss} if self.matched else {"energy": loss}
        return Losses(losses, metrics if self.matched else {"accuracy": right})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 1 + 0.5 * PerSampleRNG(0, torch.arange(64)).normal(2)
        return ShapingCase(cls(ratio=2, widen=2.0), Gaussian(2), Batch(y))
