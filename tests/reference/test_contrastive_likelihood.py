"""Likelihood, contrastive divergence and noise-contrastive estimation against closed forms and enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.shaping import Batch

PRECISION = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
MEAN = torch.tensor([0.5, -0.3], dtype=torch.float64)


def gaussian() -> ll.energies.Gaussian:
    return ll.energies.Gaussian(2, MEAN, PRECISION).double()


def samples(count: int, exact: bool = False) -> Tensor:
    """Draws of that Gaussian; `exact` gives them its mean and covariance to rounding."""
    white = torch.randn(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if exact:
        white = white - white.mean(dim=0)
        white = torch.linalg.solve_triangular(torch.linalg.cholesky(white.T @ white / count), white.T, upper=False).T
    return MEAN + white @ torch.linalg.inv(torch.linalg.cholesky(PRECISION))


def gradient(loss: Tensor, energy: torch.nn.Module) -> Tensor:
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(energy.parameters()))])


def negative_log_likelihood(y: Tensor) -> Tensor:
    law = torch.distributions.MultivariateNormal(MEAN, precision_matrix=PRECISION)
    return -law.log_prob(y).mean()


def test_maximum_likelihood_is_the_likelihood_of_the_gaussian() -> None:
    y = samples(50)
    loss = ll.shaping.MaximumLikelihood()(gaussian(), Batch(y)).losses["energy"]
    torch.testing.assert_close(loss, negative_log_likelihood(y))


def test_the_likelihood_of_the_gaussian_has_its_maximum_at_the_moments() -> None:
    y, energy = samples(200, exact=True), gaussian()
    loss = ll.shaping.MaximumLikelihood()(energy, Batch(y)).losses["energy"]
    assert float(gradient(loss, energy).abs().max()) < 1e-10


def test_the_grid_gives_the_exact_likelihood_of_the_gaussian() -> None:
    """The box reaches seven deviations (least eigenvalue of P 0.47), so that e⁻²⁴ is left out; on a smooth function the
    midpoint rule converges faster than any power of the cell."""
    y = samples(50)
    shaping = ll.shaping.MaximumLikelihoodGrid(low=-11.0, high=11.0, nodes=128).double()
    torch.testing.assert_close(
        shaping(gaussian(), Batch(y)).losses["energy"], negative_log_likelihood(y), rtol=0, atol=1e-6
    )


def test_the_smoothness_of_the_grid_is_the_mean_squared_slope() -> None:
    y, weight = samples(50), 0.3
    plain = ll.shaping.MaximumLikelihoodGrid(nodes=8).double()
    smooth = ll.shaping.MaximumLikelihoodGrid(nodes=8, smoothness=weight).double()
    slopes = (plain.grid - MEAN) @ PRECISION
    extra = smooth(gaussian(), Batch(y)).losses["energy"] - plain(gaussian(), Batch(y)).losses["energy"]
    torch.testing.assert_close(extra, weight * slopes.square().sum(dim=1).mean())


@pytest.mark.parametrize(("visible", "hidden"), [(3, 5), (5, 3)])
def test_log_partition_of_the_rbm_by_enumeration(visible: int, hidden: int) -> None:
    energy = ll.energies.RBM(visible, hidden, scale=1.0)
    energy.visible_bias.data = torch.linspace(-1, 1, visible)
    energy.hidden_bias.data = torch.linspace(1, -1, hidden)
    values = []
    for y, z in itertools.product(
        itertools.product([0.0, 1.0], repeat=visible), itertools.product([0.0, 1.0], repeat=hidden)
    ):
        values.append(float(energy(y=torch.tensor([y]), z=torch.tensor([z])).detach()))
    expected = math.log(sum(math.exp(-value) for value in values)) - hidden * math.log(2)
    assert float(energy.log_partition(None).detach()) == pytest.approx(expected, abs=1e-5)


def test_the_mean_of_cd_25_is_the_exact_gradient_of_the_rbm() -> None:
    """By 4,096 chains each of 34 entries has a standard error of at most √(½ / 4096) = 0.011: the error's norm is about
    0.05 against a gradient of norm above 0.5, an expected cosine of about 0.995."""
    energy = ll.energies.RBM(6, 4, scale=0.5)
    uniform = torch.rand(32, 6, generator=torch.Generator().manual_seed(1))
    y = (uniform < torch.tensor([0.9, 0.8, 0.1, 0.2, 0.5, 0.9])).float()
    exact = gradient(ll.shaping.MaximumLikelihood()(energy, Batch(y)).losses["energy"], energy)
    assert float(exact.norm()) > 0.5
    shaping = ll.shaping.ContrastiveDivergence(ll.solvers.Gibbs(max_steps=25))
    sampled = gradient(shaping(energy, Batch(y.repeat(128, 1))).losses["energy"], energy)
    assert float(torch.cosine_similarity(exact, sampled, dim=0)) > 0.95


def test_contrastive_divergence_with_exact_samples_has_no_gradient_at_the_solution() -> None:
    """MALA leaves the Gaussian invariant: from its own samples, the gradient is 0 but for the error of 8,192 chains.

    Entries are means of products of coordinates with deviation below 4, so 4 √2 · 4 / √8192 = 0.25."""
    shaping = ll.shaping.ContrastiveDivergence(ll.solvers.Langevin(step_size=0.2, metropolis=True, max_steps=20))
    energy = gaussian()
    loss = shaping(energy, Batch(samples(8192))).losses["energy"]
    assert float(gradient(loss, energy).abs().max()) < 0.25


def test_persistent_chains_go_on_where_they_ended() -> None:
    y = samples(16)
    shaping = ll.shaping.ContrastiveDivergence(
        ll.solvers.Langevin(step_size=0.1, max_steps=3), persistent=True, chains=16, restart=0.0
    )
    energy = gaussian()
    shaping.prepare(energy, Batch(y))
    before = shaping.buffer.clone()
    assert all(any(torch.equal(chain, row) for row in y) for chain in before)
    shaping(energy, Batch(y))
    assert torch.equal(shaping.buffer, before), "a forward pass alone changes nothing"
    shaping.after_step(energy, Batch(y))
    assert not torch.isclose(shaping.buffer, before).all(dim=1).any()


def test_nce_finds_log_z_of_the_gaussian() -> None:
    """Here c is not told log Z and the energy starts elsewhere.

    8,192 samples and four times as many noise points leave a standard error of about 1 / √8192 = 0.011 in the log-odds
    of any one step; the falling rate averages over hundreds of steps."""
    y = samples(8192)
    energy = ll.energies.Gaussian(2).double()
    shaping = ll.shaping.NoiseContrastive(ratio=4, widen=1.3).double()
    shaping.prepare(energy, Batch(y))
    shaping.log_partition.data.fill_(0.0)
    everything = [*energy.parameters(), shaping.log_partition]
    optimiser = torch.optim.Adam(everything, lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 400)
    for _ in range(400):
        optimiser.zero_grad()
        shaping(energy, Batch(y)).losses["energy"].backward()
        optimiser.step()
        shaping.advance()
        schedule.step()
    assert abs(float(shaping.log_partition.detach()) - float(energy.log_partition(None).detach())) < 0.02
    torch.testing.assert_close(energy.precision.detach(), PRECISION, rtol=0.1, atol=0.1)


def test_the_noise_of_nce_has_the_density_that_it_says() -> None:
    from lowland.shaping.contrastive.known_noise import Gaussians

    y = samples(500)
    noise = Gaussians.fit(y, 3, 1.0, 0.1, torch.Generator().manual_seed(0))
    covariance = noise.factor @ noise.factor.T
    laws = [torch.distributions.MultivariateNormal(mean, covariance) for mean in noise.means]
    expected = torch.stack([law.log_prob(y) for law in laws]).logsumexp(dim=0) - math.log(3)
    torch.testing.assert_close(noise.log_density(y), expected)


def test_the_variational_bound_is_tight_where_q_is_the_model_and_below_elsewhere() -> None:
    """A flow without couplings is the standard normal, so q = p for the standard Gaussian: then F + log q = −log Z at
    every draw. For another Gaussian the bound is lower by the divergence of q from it."""
    flow = ll.energies.NormalisingFlow(2, n_layers=0).double()
    shaping = ll.shaping.VariationalLikelihood(flow).double()
    y = samples(20000)
    same = ll.energies.Gaussian(2).double()
    bound = shaping(same, Batch(y)).metrics["log_partition"]
    torch.testing.assert_close(bound, same.log_partition(None).detach())
    other = gaussian()
    law = torch.distributions.MultivariateNormal(MEAN, precision_matrix=PRECISION)
    standard = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    expected = float(other.log_partition(None).detach()) - float(torch.distributions.kl_divergence(standard, law))
    # F + log q varies with a deviation of about 1.5 under q.
    assert float(shaping(other, Batch(y)).metrics["log_partition"]) == pytest.approx(expected, abs=4 * 1.5 / 20000**0.5)


def test_the_steepest_slope_balances_the_flux() -> None:
    """Half of A / (2 λ ℓ) on each side, for A = 5.2² and λ = 0.1; without a penalty the slope grows without end."""
    shaping = ll.shaping.MaximumLikelihoodGrid(-2.6, 2.6, smoothness=0.1)
    assert shaping.steepest(12.86) == pytest.approx(5.2**2 / (2 * 0.1 * 12.86) / 2)
    assert ll.shaping.MaximumLikelihoodGrid(-2.6, 2.6).steepest(12.86) == math.inf
