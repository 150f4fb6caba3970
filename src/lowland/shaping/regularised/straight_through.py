"""Training through a rounded code (systems A1, A2): straight-through gradients, and codebook restarts."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lowland.energies.base import Energy
from lowland.energies.discrete_autoencoder import DiscreteAutoencoder
from lowland.energies.protocols import Rounded, offered
from lowland.energies.vqvae import VQVAE
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase


def perplexity(share: Tensor) -> Tensor:
    """The effective number of entries in use: e to the entropy of shares (groups, entries), averaged over groups.

    >>> perplexity(torch.tensor([[1.0, 0.0, 0.0]]))
    tensor(1.)
    """
    return torch.special.entr(share).sum(dim=1).exp().mean()


@register("shaping")
class StraightThrough(Shaping):
    """L = mean over data of E(y, z), with z the encoder's rounded code.

    The derivative passes through z as if it were not rounded (Bengio, Léonard & Courville 2013, section 3.4). The
    metric `perplexity` is the effective number of values that a group of the code uses; near 1 the code has collapsed.

    Energies: `Rounded` ones: `DiscreteAutoencoder`, `VQVAE`.

    Args:
        seed: see `Shaping`.

    Raises:
        UnsupportedError: in training, for an energy that is not `Rounded`.

    >>> import lowland as ll
    >>> energy = DiscreteAutoencoder(n_features=4, groups=3, categories=4)
    >>> sorted(StraightThrough()(energy, ll.shaping.Batch(torch.ones(2, 4))).metrics)
    ['free_energy', 'perplexity']
    """

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        weight, core = offered(energy, Rounded, type(self).__name__)
        value, z = core.straight_through(batch.y)
        share = z.mean(dim=0)
        if share.ndim == 1:
            share = torch.stack([share, 1 - share], dim=1)
        loss = weight * value.mean()
        return Losses({"energy": loss}, {"free_energy": loss.detach(), "perplexity": perplexity(share)})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(), DiscreteAutoencoder(4, 4, hidden=(16,)), Batch(y, index=torch.arange(64)))


@register("shaping")
class VectorQuantisation(StraightThrough):
    """Straight-through training of a `VQVAE` whose codebook follows the encoder as a moving average.

        N ← γ N + (1 − γ) n,   M ← γ M + (1 − γ) Σ Enc(y),   entry = M / N

    The sums run over the samples nearest to an entry, n of them (van den Oord et al. 2017, appendix A.1). An entry
    whose share N falls below `revive_below` / K is reset to the encoder output of a random sample, which prevents
    codebook collapse (random restarts, Dhariwal et al. 2020, "Jukebox").

    Energies: `VQVAE`.

    Args:
        revive_below: threshold as a fraction of the equal share 1/K; 0 never restarts an entry.
        memory: γ, in [0, 1); 0.99 in the paper, whose training is longer.
        seed: of the choice of samples.

    Raises:
        OptionError: for a threshold below 0 or a memory outside [0, 1).
        UnsupportedError: in training, for an energy without a codebook.

    >>> import lowland as ll
    >>> shaping = VectorQuantisation()
    >>> sorted(shaping(VQVAE(n_features=4, groups=2), ll.shaping.Batch(torch.ones(2, 4))).losses)
    ['energy']
    """

    share: Tensor
    total: Tensor

    def __init__(self, revive_below: float = 0.1, memory: float = 0.95, seed: int = 0) -> None:
        super().__init__(seed)
        if not revive_below >= 0 or not 0 <= memory < 1:
            raise OptionError(f"revive_below must be ≥ 0 and memory in [0, 1), not {revive_below} and {memory}.")
        self.revive_below, self.memory = revive_below, memory
        self.register_buffer("share", torch.zeros(0))
        self.register_buffer("total", torch.zeros(0))

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        """All parameters but the codebook."""
        book = getattr(energy.core()[1], "codebook", None)
        return {"energy": [parameter for parameter in energy.parameters() if parameter is not book]}

    def after_step(self, energy: Energy, batch: Batch) -> None:
        super().after_step(energy, batch)
        _, core = offered(energy, VQVAE, type(self).__name__)
        with torch.no_grad():
            z, book = core.quantise(batch.y), core.codebook
            equal = 1 / book.shape[1]
            if self.total.shape != book.shape:
                self.share, self.total = torch.full_like(book[:, :, 0], equal), equal * book
            self.share = torch.lerp(z.mean(dim=0), self.share, self.memory)
            found = torch.einsum("bgk,bgc->gkc", z, core.embed(batch.y)) / len(z)
            self.total = torch.lerp(found, self.total, self.memory)
            core.codebook.copy_(self.total / self.share.clamp_min(1e-12)[:, :, None])
            dead = self.share < self.revive_below * equal
            core.replace(dead, batch.y, self.noise(batch.y))
            self.share = torch.where(dead, equal, self.share)
            self.total = torch.where(dead[:, :, None], equal * core.codebook, self.total)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        energy = VQVAE(4, groups=2, entries=4, entry_size=2, hidden=(16,))
        return ShapingCase(cls(), energy, Batch(y, index=torch.arange(64)))
