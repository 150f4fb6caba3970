"""What a generator makes between and beside its latents."""

from __future__ import annotations

import torch

from lowland.energies import Generator
from lowland.evaluation.generation import gaussian_samples, latent_walks


def identity(size: int, radius: float = 100.0) -> Generator:
    """G(z) = z, so that samples are latents."""
    energy = Generator(size, size, hidden=(), radius=radius)
    energy.load_state_dict({"network.0.weight": torch.eye(size), "network.0.bias": torch.zeros(size)})
    return energy


def test_a_walk_is_a_line_between_two_latents() -> None:
    latents = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    walks = latent_walks(identity(3), latents, torch.Generator().manual_seed(1), pairs=4, steps=5)
    assert walks.shape == (4, 5, 3)
    ends = torch.cat([walks[:, 0], walks[:, -1]])
    places = [int((latents - end).norm(dim=1).argmin()) for end in ends]
    torch.testing.assert_close(latents[places], ends)
    assert len(set(places)) == 8
    steps = walks.diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))


def test_samples_have_the_moments_of_the_latents() -> None:
    """Of 20,000 draws: covariances of size 1 to 4 deviate by √(2 / 20,000) of their size, 0.04; 0.2 is five of that."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(500, 2, generator=generator) @ torch.tensor([[2.0, 0.5], [0.0, 1.0]]) + 3
    drawn = gaussian_samples(identity(2), latents, 20_000, generator)
    torch.testing.assert_close(drawn.mean(dim=0), latents.mean(dim=0), rtol=0, atol=0.1)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(latents.T), rtol=0, atol=0.2)


def test_samples_stay_in_the_ball() -> None:
    latents = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    drawn = gaussian_samples(identity(2, radius=0.5), latents, 100, torch.Generator().manual_seed(1))
    assert float(drawn.norm(dim=1).max()) <= 0.5 + 1e-6
