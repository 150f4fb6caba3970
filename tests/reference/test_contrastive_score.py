"""Score matching against the closed form of the Gaussian, finite differences and each other."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.shaping import Batch

PRECISION = torch.tensor([[2.0, 0.9, 0.0], [0.9, 1.0, -0.3], [0.0, -0.3, 0.7]], dtype=torch.float64)
MEAN = torch.tensor([0.5, -0.3, 1.0], dtype=torch.float64)


def samples(count: int) -> Tensor:
    """Points whose mean and covariance are those of the Gaussian to rounding."""
    white = torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    white = white - white.mean(dim=0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(white.T @ white / count), white.T, upper=False).T
    return MEAN + white @ torch.linalg.inv(torch.linalg.cholesky(PRECISION))


def network() -> ll.energies.NetworkEnergy:
    return ll.energies.NetworkEnergy(3, hidden=(8,)).double()


def minimised(shaping: ll.shaping.Shaping, y: Tensor) -> ll.energies.Gaussian:
    """A Gaussian from the standard normal to the least loss, with the same random numbers throughout."""
    energy = ll.energies.Gaussian(3).double()
    optimiser = torch.optim.LBFGS(energy.parameters(), max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        shaping._calls = 0
        loss = shaping(energy, Batch(y)).losses["energy"]
        loss.backward()
        return loss

    optimiser.step(closure)
    return energy


def test_score_matching_recovers_the_precision() -> None:
    """For a Gaussian the minimum is at the moments of the data, which are exact here; 2 % is asked."""
    energy = minimised(ll.shaping.ScoreMatching(), samples(400))
    torch.testing.assert_close(energy.precision.detach(), PRECISION, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(energy.mean.detach(), MEAN, rtol=1e-4, atol=1e-4)


def test_sliced_score_matching_recovers_the_precision() -> None:
    """The curvature is averaged over 40,000 sign vectors: the error of each entry of P is about 1 / √40000 relative."""
    energy = minimised(ll.shaping.SlicedScoreMatching(slices=8), samples(5000))
    assert float((energy.precision.detach() - PRECISION).norm() / PRECISION.norm()) < 0.02


def test_denoising_score_matching_recovers_the_smoothed_precision() -> None:
    """DSM fits the data smoothed by σ: covariance P⁻¹ + σ² I. The scatter of e over 200,000 draws, relative to the
    data's own width, leaves about √(3 / 200000) / σ = 0.8 % in the precision."""
    sigma = 0.5
    y = samples(5000).repeat(40, 1)
    energy = minimised(ll.shaping.DenoisingScoreMatching(sigma), y)
    smoothed = torch.linalg.inv(torch.linalg.inv(PRECISION) + sigma**2 * torch.eye(3, dtype=torch.float64))
    assert float((energy.precision.detach() - smoothed).norm() / smoothed.norm()) < 0.02


def test_the_exact_laplacian_by_finite_differences() -> None:
    energy, y, h = network(), samples(7), 1e-3
    value = energy(y=y).detach()
    laplacian, slope = torch.zeros(7, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)
    for axis in torch.eye(3, dtype=torch.float64):
        up, down = energy(y=y + h * axis).detach(), energy(y=y - h * axis).detach()
        laplacian += (up - 2 * value + down) / h**2
        slope += ((up - down) / (2 * h)) ** 2
    expected = (0.5 * slope - laplacian).mean()
    # Differences of second order are wrong by h² times fourth derivatives, and by rounding 4e-16 / h².
    torch.testing.assert_close(
        ll.shaping.ScoreMatching()(energy, Batch(y)).losses["energy"].detach(), expected, rtol=1e-5, atol=1e-6
    )


def test_sliced_is_exact_in_the_mean_over_all_sign_vectors() -> None:
    """All 2³ sign vectors together average v vᵀ to the identity."""
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)), dtype=torch.float64)

    class AllSigns(ll.shaping.SlicedScoreMatching):
        def directions(self, y: Tensor) -> Tensor:
            return signs.expand(len(y), 8, 3) / 8**0.5

    energy, y = network(), samples(7)
    exact = ll.shaping.ScoreMatching()(energy, Batch(y)).losses["energy"]
    torch.testing.assert_close(AllSigns()(energy, Batch(y)).losses["energy"], exact)


@pytest.mark.parametrize("slices", [1, 4])
def test_the_slices_are_scaled_to_the_identity(slices: int) -> None:
    directions = ll.shaping.SlicedScoreMatching(slices=slices).directions(torch.zeros(5, 3))
    torch.testing.assert_close(directions.square().sum(dim=1), torch.ones(5, 3))


def test_denoising_agrees_with_exact_on_smoothed_data_in_the_mean() -> None:
    """J_DSM − J of the smoothed data = ½ E‖e‖² / σ² = D / 2σ², whatever the energy. Per draw, the difference is
    ∇F·e/σ − ΔF in excess of it: its deviation is measured, and four standard errors are allowed."""
    energy, sigma, count = network(), 0.5, 40000
    y = samples(count)
    denoising = ll.shaping.DenoisingScoreMatching(sigma)
    exact = ll.shaping.ScoreMatching(smoothing=sigma)
    difference = denoising(energy, Batch(y)).losses["energy"] - exact(energy, Batch(y)).losses["energy"]
    noise = exact.noise(y).normal(3)
    points = (y + sigma * noise).requires_grad_()
    (gradient,) = torch.autograd.grad(energy(y=points).sum(), points)
    spread = ((gradient * noise).sum(dim=1) / sigma).std() + noise.square().sum(dim=1).std() / (2 * sigma**2)
    expected = 3 / (2 * sigma**2)
    assert float(difference.detach()) == pytest.approx(expected, abs=4 * float(spread) / count**0.5)
