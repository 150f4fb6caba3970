"""Training through a rounded code (rows A1, A2): straight-through gradients, and a cure for codebook collapse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.discrete_autoencoder import DiscreteAutoencoder
from lowland.energies.vqvae import VQVAE
from lowland.errors import OptionError, UnsupportedError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase


def perplexity(share: Tensor) -> Tensor:
    """exp of the entropy of shares (groups, entries), in the mean over groups: how many entries are in use.

    >>> perplexity(torch.full((1, 8), 1 / 8))
    tensor(8.)
    """
    return torch.special.entr(share).sum(dim=1).exp().mean()


@register("shaping")
class StraightThrough(Shaping):
    """L = mean over data of E(y, z), with z the encoder's rounded code, through which the derivative passes as if it were not
    rounded (Bengio, Léonard & Courville 2013, section 3.4).

    The energy says how, by its method `straight_through`: `DiscreteAutoencoder`, `VQVAE`. The metric `perplexity` is the
    effective number of values in use by a group of the code; near 1 the code has collapsed.

    Args:
        seed: of the shaping's random numbers.

    Raises:
        UnsupportedError: in training, for an energy without `straight_through`.

    >>> import lowland as ll
    >>> energy = DiscreteAutoencoder(n_features=4, groups=3, categories=4)
    >>> sorted(StraightThrough()(energy, ll.shaping.Batch(torch.ones(2, 4))).metrics)
    ['free_energy', 'perplexity']
    """

    def forward(self, energy: Any, batch: Batch) -> Losses:
        if not hasattr(energy, "straight_through"):
            raise UnsupportedError(
                f"{type(self).__name__} needs an energy with a rounded code, `straight_through`, such as "
                f"DiscreteAutoencoder or VQVAE, but {type(energy).__name__} has none."
            )
        value, z = energy.straight_through(batch.y)
        share = z.mean(dim=0)
        if share.ndim == 1:
            share = torch.stack([share, 1 - share], dim=1)
        loss = value.mean()
        return Losses({"energy": loss}, {"free_energy": loss.detach(), "perplexity": perplexity(share)})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(), DiscreteAutoencoder(4, 4, hidden=(16,)), Batch(y, index=torch.arange(64)))


@register("shaping")
class VectorQuantisation(StraightThrough):
    """Straight-through training of a `VQVAE`, in which entries of the codebook that are no longer used start again.

    An entry whose share of the samples, as a running mean, is below `revive_below` / K moves onto the encoder's output of a
    random sample: the cure for codebook collapse (random restart, as in Dhariwal et al. 2020, "Jukebox", section 3.1).

    Args:
        revive_below: as a fraction of the equal share 1/K; 0 never revives.
        memory: of the running mean, in [0, 1).
        seed: of the samples chosen.

    Raises:
        OptionError: for a threshold below 0 or a memory outside [0, 1).
        UnsupportedError: in training, for an energy without a codebook.

    >>> import lowland as ll
    >>> shaping = VectorQuantisation()
    >>> sorted(shaping(VQVAE(n_features=4, groups=2), ll.shaping.Batch(torch.ones(2, 4))).losses)
    ['energy']
    """

    usage: Tensor

    def __init__(self, revive_below: float = 0.1, memory: float = 0.95, seed: int = 0) -> None:
        super().__init__(seed)
        if not revive_below >= 0 or not 0 <= memory < 1:
            raise OptionError(f"revive_below must be ≥ 0 and memory in [0, 1), not {revive_below} and {memory}.")
        self.revive_below, self.memory = revive_below, memory
        self.register_buffer("usage", torch.zeros(0))

    def after_step(self, energy: Any, batch: Batch) -> None:
        super().after_step(energy, batch)
        if not isinstance(energy, VQVAE):
            raise UnsupportedError(f"VectorQuantisation needs a VQVAE, but the energy is a {type(energy).__name__}.")
        with torch.no_grad():
            share = energy.quantise(batch.y).mean(dim=0)
            equal = 1 / share.shape[1]
            usage = self.usage if self.usage.shape == share.shape else torch.full_like(share, equal)
            usage = self.memory * usage + (1 - self.memory) * share
            dead = usage < self.revive_below * equal
            energy.replace(dead, batch.y, self.noise(batch.y))
            self.usage = torch.where(dead, equal, usage)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        energy: Energy = VQVAE(4, groups=2, entries=4, entry_size=2, hidden=(16,))
        return ShapingCase(cls(), energy, Batch(y, index=torch.arange(64)))
