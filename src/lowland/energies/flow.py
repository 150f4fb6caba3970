"""A normalising flow (system A1): a normalised density by an invertible network."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import DomainError, OptionError
from lowland.nn.layers import mlp
from lowland.registry import register
from lowland.tensors import PerSampleRNG


class Coupling(nn.Module):
    """u_a stays, u_b ← u_b ⊙ exp(s(u_a)) + t(u_a): invertible, with log-determinant Σ s.

    Source: Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP" (2017), equations 4 and 5.
    """

    stays: Tensor

    def __init__(self, stays: Tensor, width: int, limit: float, generator: torch.Generator) -> None:
        super().__init__()
        size = len(stays)
        self.limit = limit
        self.register_buffer("stays", stays)
        self.net = mlp(size, width, width, 2 * size, generator=generator)

    def _affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Log-scale s, softly bounded for stability, and shift t; both are 0 on the part that stays."""
        s, t = self.net(u * self.stays).chunk(2, dim=1)
        moves = 1 - self.stays
        return self.limit * torch.tanh(s / self.limit) * moves, t * moves

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The transformed u (B, n) and log |det| (B,)."""
        s, t = self._affine(u)
        return u * torch.exp(s) + t, s.sum(dim=1)

    def inverse(self, u: Tensor) -> Tensor:
        """The inverse of `forward`, (B, n)."""
        s, t = self._affine(u)
        return (u - t) * torch.exp(-s)


@register("energy")
class NormalisingFlow(Energy):
    """F(y) = ½‖u‖² + (n/2) log 2π − log |det ∂u/∂y|, u = f(y): minus the log-density of y.

    The invertible network f standardises y and then alternates affine couplings (Dinh et al. 2017) whose two halves are
    redrawn at each layer (for n = 2 they alternate). The density integrates to one for any weights, so
    `ll.shaping.MinimumEnergy()`, which only lowers F on data, is maximum likelihood.

    Args:
        n_features: n ≥ 2.
        n_layers: number of couplings.
        width: units in each of the two hidden layers of a coupling's network.
        limit: bound on the log-scale of one coupling; with 1 a layer stretches by at most a factor e.
        generator: draws halves and weights.

    Raises:
        OptionError: for fewer than 2 features.

    >>> NormalisingFlow(n_features=2)(y=torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        n_features: int,
        n_layers: int = 8,
        width: int = 64,
        limit: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        if n_features < 2:
            raise OptionError(f"A coupling needs at least 2 features to split, but n_features is {n_features}.")
        super().__init__(y=Reals(n_features))
        generator = generator or torch.Generator().manual_seed(0)
        layers, stays = [], torch.zeros(0)
        for index in range(n_layers):
            if index % 2 == 0:
                order = torch.randperm(n_features, generator=generator)
                stays = (order < n_features // 2).float()
            layers.append(Coupling(stays if index % 2 == 0 else 1 - stays, width, limit, generator))
        self.layers = nn.ModuleList(layers)
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        u, volume = self.whiten(y)
        return 0.5 * u.square().sum(dim=1) + 0.5 * u.shape[1] * math.log(2 * math.pi) - volume

    def whiten(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The latent u = f(y), (B, n), and log |det ∂u/∂y|, (B,)."""
        u = (y - self.centre) / self.spread
        volume = -self.spread.log().sum().expand(y.shape[0])
        for layer in self.layers:
            u, more = layer(u)
            volume = volume + more
        return u, volume

    def generate(self, u: Tensor) -> Tensor:
        """The sample y = f⁻¹(u), (B, n): a draw from the density if u is standard normal."""
        for layer in reversed(self.layers):
            assert isinstance(layer, Coupling)
            u = layer.inverse(u)
        return u * self.spread + self.centre

    def initialise(self, x: Any, y: Tensor, noise: PerSampleRNG) -> None:
        """Standardise by the mean and standard deviation of the data.

        A standard deviation counts as at least a tenth of the mean one, so that a pixel that is always 0 does not
        create a ravine.

        Raises:
            DomainError: for data that are all the same.
        """
        deviation = y.std(dim=0, correction=0)
        if not bool(deviation.any()):
            raise DomainError(f"All {len(y)} samples are the same: their density is infinite, and no flow can have it.")
        self.centre.copy_(y.mean(dim=0))
        self.spread.copy_(deviation.clamp_min(0.1 * deviation.mean()))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Without layers the density is standard normal."""
        return ReferenceCase(
            cls(2, n_layers=0), {}, "y", minimum=torch.tensor([math.log(2 * math.pi)]), minimiser=torch.zeros(1, 2)
        )
