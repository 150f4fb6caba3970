"""The variational free energy (rows A2, C1): noise in the latent, paid for by its entropy."""

from __future__ import annotations

from typing import Any

import torch

from lowland.energies.vae import VariationalAutoencoder
from lowland.errors import OptionError, UnsupportedError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase


@register("shaping")
class VariationalFreeEnergy(Shaping):
    """L = mean over data of E_{z∼q(z|y)} E(y, z) − H(q(z|y)) ≥ −log ∫ exp(−E(y, z)) dz.

    z is drawn as m(y) + s(y) ⊙ ε with ε ∼ N(0, I). For the energy −log p(y, z) of a variational auto-encoder it is
    minus the evidence lower bound (Kingma & Welling 2014, equations 3 and 10). The noise makes neighbouring z share
    their y, which bounds what the latent can tell.

    Args:
        samples: draws of ε for each y and step; 1 as in the paper.
        seed: of the draws.

    Raises:
        OptionError: for fewer than one sample.
        UnsupportedError: in training, for an energy without `posterior` and `bound`.

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

    def forward(self, energy: Any, batch: Batch) -> Losses:
        if not hasattr(energy, "bound"):
            raise UnsupportedError(
                "VariationalFreeEnergy needs an energy with a posterior over z, `bound`, but "
                f"{type(energy).__name__} has none."
            )
        noise = self.noise(batch.y).normal(self.samples, energy.domain("z").size)
        value = torch.stack([energy.bound(batch.y, noise[:, k]) for k in range(self.samples)]).mean()
        return Losses({"energy": value}, {"bound": value.detach()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(samples=4), VariationalAutoencoder(4, 2, hidden=(8,)), Batch(y, index=torch.arange(32)))
