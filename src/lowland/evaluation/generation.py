"""Samples that a generator makes between and beside latents that it learned.

Legend: N latents, D size of a latent, n size of a sample, P pairs, T steps from one end to the other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.generator import Generator


@torch.no_grad()
def latent_walks(
    energy: Generator, latents: Tensor, generator: torch.Generator, pairs: int = 6, steps: int = 9
) -> Tensor:
    """G along straight lines between latents drawn at random, (P, T, n).

    A smooth generator goes over from one sample to the other without a jump (Bojanowski et al. 2018, figure 6).

    Args:
        energy: the generator.
        latents: (N, D), of which 2 P are drawn, each at most once.
        generator: draws them.
        pairs: P, at most N / 2.
        steps: T, both ends included.

    >>> energy = Generator(4, 2)
    >>> latent_walks(energy, torch.rand(20, 2), torch.Generator().manual_seed(0), pairs=3).shape
    torch.Size([3, 9, 4])
    """
    ends = torch.randperm(len(latents), generator=generator)[: 2 * pairs].reshape(2, -1)
    ways = torch.linspace(0, 1, steps)[:, None].to(latents)
    walks = [energy.network((1 - ways) * latents[one] + ways * latents[other]) for one, other in ends.T.tolist()]
    return torch.stack(walks)


@torch.no_grad()
def gaussian_samples(energy: Generator, latents: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """G(z) for z drawn from the Gaussian with the mean and covariance of learned latents, (count, n).

    Latents that were learned follow no prior, so the Gaussian is fitted to them, as by Bojanowski et al. (2018).

    Args:
        energy: the generator; z is brought into its domain.
        latents: (N, D), N ≥ 2.
        count: samples.
        generator: draws z.

    >>> gaussian_samples(Generator(4, 2), torch.rand(20, 2), 7, torch.Generator().manual_seed(0)).shape
    torch.Size([7, 4])
    """
    size = latents.shape[1]
    covariance = torch.cov(latents.T.double()).reshape(size, size)
    root = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(size).to(covariance))
    noise = torch.randn(count, size, generator=generator).to(latents)
    return energy.network(energy.domain("z").project(latents.mean(dim=0) + noise @ root.T.to(latents)))
