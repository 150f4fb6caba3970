"""The variational free energy (systems A2, C1): noise in the latent, balanced by its entropy."""

from __future__ import annotations

import torch

from lowland.energies.base import Energy
from lowland.energies.protocols import VariationalBound, offered
from lowland.energies.vae import VariationalAutoencoder
from lowland.errors import OptionError, UnsupportedError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase


@register("shaping")
class VariationalFreeEnergy(Shaping):
    """L = mean over data of E_{z∼q(z|y)} E(y, z) − H(q(z|y)) ≥ −log ∫ exp(−E(y, z)) dz.

    z is drawn as m(y) + s(y) ⊙ ε with ε ∼ N(0, I). For the energy −log p(y, z) of a variational auto-encoder, L is
    minus the evidence lower bound (Kingma & Welling 2014, equations 3 and 10). The noise forces nearby z to decode to
    similar y, which limits the information in the latent.

    Energies: those with a `VariationalBound`, such as `VariationalAutoencoder`.

    Args:
        samples: draws of ε for each y and step; 1 as in the paper.
        seed: of the draws.

    Raises:
        OptionError: for fewer than one sample.
        UnsupportedError: in training, for an energy without a `VariationalBound`, or with a weight other than 1.

    >>> import lowland as ll
    >>> energy = VariationalAutoencoder(n_features=4, n_latents=2)
    >>> sorted(VariationalFreeEnergy()(energy, ll.shaping.Batch(torch.ones(2, 4))).losses)
    ['energy']
    """

    def __init__(self, samples: int = 1, seed: int = 0) -> None:
        super().__init__(seed)
        if samples < 1:
            raise OptionError(f"At least one sample is needed, but samples is {samples}.")
        self.samples = samples

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        weight, core = offered(energy, VariationalBound, type(self).__name__)
        if weight != 1:
            raise UnsupportedError(
                f"VariationalFreeEnergy bounds log ∫ exp(−E), and the bound of {type(core).__name__} does not hold for "
                f"{weight:g} times its energy: train it without the weight."
            )
        noise = self.noise(batch.y).normal(self.samples, energy.domain("z").size)
        value = torch.stack([core.bound(batch.y, noise[:, k]) for k in range(self.samples)]).mean()
        return Losses({"energy": value}, {"bound": value.detach()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(samples=4), VariationalAutoencoder(4, 2, hidden=(8,)), Batch(y, index=torch.arange(32)))
