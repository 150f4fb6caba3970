"""The variational auto-encoder (system A2): noise in the latent limits the low-energy volume."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register


@register("energy")
class VariationalAutoencoder(Energy):
    """E(y, z) = ‖y − Dec(z)‖² / (2σ²) + n log σ + ½‖z‖² + const = −log p(y, z).

    p(y, z) is the joint density of a latent-variable model with prior N(0, I) and Gaussian noise of standard deviation
    σ on y. The energy contains no noise; `ll.shaping.VariationalFreeEnergy` draws z from the encoder's posterior q(z|y)
    and adds the entropy term (Kingma & Welling 2014). F_∞(y) = min_z E is the energy of the best z, found starting from
    the posterior's mean; `bound` gives minus the evidence lower bound for explicit noise. The prior is part of E, so
    F_β for a finite β is not offered: it would count a prior q(z) twice.

    Args:
        n_features: size n of y.
        n_latents: size of z.
        hidden: sizes of the encoder's hidden layers; the decoder mirrors them.
        noise: initial σ, in units of y; it is trained too (Rybkin, Daniilidis & Levine 2021, one σ for all features).
        generator: draws the weights.

    Raises:
        OptionError: for a σ that is not positive.

    >>> energy = VariationalAutoencoder(n_features=4, n_latents=2)
    >>> energy(y=torch.zeros(3, 4), z=torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(
        self,
        n_features: int,
        n_latents: int,
        hidden: tuple[int, ...] = (128,),
        noise: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        if not noise > 0:
            raise OptionError(f"noise must be positive, but it is {noise}.")
        super().__init__(y=Reals(n_features), z=Reals(n_latents))
        generator = generator or torch.Generator().manual_seed(0)
        self.encoder = mlp(n_features, *hidden, 2 * n_latents, generator=generator)
        self.decoder = mlp(n_latents, *reversed(hidden), n_features, generator=generator)
        self.log_noise = nn.Parameter(torch.tensor(math.log(noise)))

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        size = y.shape[1] + z.shape[1]
        misfit = 0.5 * squared_distance(y, self.decoder(z)) * torch.exp(-2 * self.log_noise)
        return misfit + y.shape[1] * self.log_noise + 0.5 * z.square().sum(dim=1) + 0.5 * size * math.log(2 * math.pi)

    def posterior(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z|y), (B, n_latents) each."""
        mean, log_deviation = self.encoder(y).chunk(2, dim=1)
        return mean, log_deviation

    def bound(self, y: Tensor, noise: Tensor) -> Tensor:
        """E(y, m + s ⊙ ε) − H(q), (B,): averaged over ε ∼ N(0, I), minus the evidence lower bound on log p(y).

        The entropy of q = N(m, s²) is H = Σ log s + (d/2) log 2πe. `noise` is ε, (B, n_latents).
        """
        mean, log_deviation = self.posterior(y)
        entropy = log_deviation.sum(dim=1) + 0.5 * mean.shape[1] * math.log(2 * math.pi * math.e)
        return self.energy(None, y, mean + log_deviation.exp() * noise) - entropy

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        return Structure(warm_start=lambda: self.posterior(y)[0].detach()) if over == ("z",) else Structure()

    def code(self, y: Tensor) -> Tensor:
        """The posterior's mean, (B, n_latents)."""
        return self.posterior(y)[0]

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """Dec(z), (B, n_features)."""
        return self.decoder(z)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With Dec the identity and σ = 1, E is minimal at z = y/2."""
        energy = cls(2, 2, hidden=(), noise=1.0)
        state = {"decoder.0.weight": torch.eye(2), "decoder.0.bias": torch.zeros(2)}
        energy.load_state_dict(energy.state_dict() | state)
        y = torch.tensor([[1.0, 2.0], [0.0, -2.0]])
        minimum = 0.25 * y.square().sum(dim=1) + 2 * math.log(2 * math.pi)
        return ReferenceCase(energy, {"y": y}, "z", minimum=minimum, minimiser=y / 2)
