"""Architectural energies against scikit-learn, closed forms and quadrature."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn import cluster, decomposition, mixture
from sklearn.datasets import load_digits
from torch import Tensor

import lowland as ll
from lowland.data.plane import toy
from lowland.shaping import Batch
from lowland.tensors import PerSampleRNG


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """Scikit-learn's digits, (1797, 64) in [0, 1]."""
    return torch.tensor(load_digits().data) / 16


def train(energy: ll.energies.Energy, shaping: ll.shaping.Shaping, y: Tensor, steps: int, rate: float) -> None:
    """Full-batch training by the shaping's own rules."""
    batch = Batch(y)
    shaping.prepare(energy, batch)
    optimiser = torch.optim.Adam(energy.parameters(), lr=rate)
    for step in range(steps):
        if shaping.trains_by_gradient:
            optimiser.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
            optimiser.zero_grad()
            shaping(energy, batch).losses["energy"].backward()
            optimiser.step()
        else:
            shaping.update(energy, batch)
        shaping.after_step(energy, batch)
        shaping.advance()


def test_pca_has_the_reconstruction_error_of_scikit_learn(digits: Tensor) -> None:
    """In single precision; both are the exact minimum, so that only rounding separates them."""
    energy = ll.energies.PCA(64, 16)
    train(energy, ll.shaping.ExpectationMaximisation(), digits.float(), steps=1, rate=0)
    theirs = decomposition.PCA(16, svd_solver="full").fit(digits.numpy())
    back = theirs.inverse_transform(theirs.transform(digits.numpy()))
    error = ((digits.numpy() - back) ** 2).sum(axis=1).mean()
    ours = ll.free_energy(energy, digits.float()).value.mean().item()
    assert ours == pytest.approx(error, rel=1e-5)
    # The same without our inference: the residual of the projection on the rows.
    centred = digits.float() - energy.mean
    residual = centred - centred @ energy.components.T @ energy.components
    assert residual.square().sum(dim=1).mean().item() == pytest.approx(error, rel=1e-5)
    assert torch.allclose(energy.components @ energy.components.T, torch.eye(16), atol=1e-5)


def test_pca_adds_batches_up_to_the_whole(digits: Tensor) -> None:
    whole, parts = ll.energies.PCA(64, 8).double(), ll.energies.PCA(64, 8).double()
    train(whole, ll.shaping.ExpectationMaximisation(), digits, steps=1, rate=0)
    shaping = ll.shaping.ExpectationMaximisation(memory=1.0)
    for piece in digits.split(300):
        shaping.update(parts, Batch(piece))
    torch.testing.assert_close(parts.components, whole.components, rtol=1e-6, atol=1e-8)


def test_pca_by_gradient_finds_the_flat_of_pca(digits: Tensor) -> None:
    """Gradient descent is stopped early: within 1 % of the least error, which bounds the angle between the flats."""
    exact, slow = ll.energies.PCA(64, 8), ll.energies.PCA(64, 8)
    train(exact, ll.shaping.ExpectationMaximisation(), digits.float(), steps=1, rate=0)
    train(slow, ll.shaping.MinimumEnergy(), digits.float(), steps=300, rate=0.05)
    # In double precision: the two differ by less than single precision keeps of a mean.
    least = ll.free_energy(exact.double(), digits).value.mean()
    assert least <= ll.free_energy(slow.double(), digits).value.mean() <= 1.01 * least


def test_kmeans_inertia_is_no_more_than_that_of_scikit_learn(digits: Tensor) -> None:
    start = digits[torch.randperm(len(digits), generator=torch.Generator().manual_seed(1))[:20]]
    theirs = cluster.KMeans(20, init=start.numpy(), n_init=1, max_iter=300, tol=0).fit(digits.numpy())
    energy = ll.energies.KMeans(64, 20).double()
    energy.centres.data = start.clone()
    train(energy, ll.shaping.ExpectationMaximisation(initialise=False), digits, steps=theirs.n_iter_ + 1, rate=0)
    assert ll.free_energy(energy, digits).value.sum().item() <= theirs.inertia_ * (1 + 1e-9)
    by_hand = torch.cdist(digits, energy.centres.detach()).square().min(dim=1).values.sum().item()
    assert by_hand <= theirs.inertia_ * (1 + 1e-9)
    assert by_hand < 0.9 * torch.cdist(digits, start).square().min(dim=1).values.sum().item(), "it has moved"


def test_kmeans_start_has_the_quality_of_scikit_learns(digits: Tensor) -> None:
    """The median of ten k-means++ starts is within 5 % of that of scikit-learn, which draws several candidates."""
    ours, theirs = [], []
    for seed in range(10):
        energy = ll.energies.KMeans(64, 20).double()
        train(energy, ll.shaping.ExpectationMaximisation(seed=seed), digits, steps=50, rate=0)
        ours.append(ll.free_energy(energy, digits).value.sum().item())
        theirs.append(cluster.KMeans(20, n_init=1, random_state=seed).fit(digits.numpy()).inertia_)
    assert np.median(ours) <= 1.05 * np.median(theirs)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_mixture_has_the_log_likelihood_of_scikit_learn(covariance: str) -> None:
    y = toy("pinwheel", 800).double()
    means = y[:5].clone()
    theirs = mixture.GaussianMixture(
        5,
        covariance_type=covariance,
        means_init=means.numpy(),
        weights_init=np.full(5, 0.2),
        precisions_init=np.stack([np.eye(2)] * 5) if covariance == "full" else np.ones((5, 2)),
        max_iter=25,
        tol=0,
    )
    with pytest.warns(UserWarning, match="did not converge"):
        theirs.fit(y.numpy())
    energy = ll.energies.GaussianMixture(2, 5, covariance=covariance).double()
    energy.means.data = means
    train(energy, ll.shaping.ExpectationMaximisation(beta=1.0, initialise=False), y, steps=25, rate=0)
    ours = -ll.free_energy(energy, y, beta=1.0).value.mean().item()
    assert ours == pytest.approx(theirs.score(y.numpy()), abs=1e-4)
    # The same by torch's distributions, without our energy.
    factors = energy.scale.tril() if covariance == "full" else torch.diag_embed(energy.scale)
    parts = torch.distributions.MultivariateNormal(energy.means, scale_tril=factors)
    law = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=energy.logits), parts)
    assert law.log_prob(y).mean().item() == pytest.approx(theirs.score(y.numpy()), abs=1e-4)


def test_each_step_of_em_raises_the_likelihood(digits: Tensor) -> None:
    energy, shaping = (
        ll.energies.GaussianMixture(64, 5, floor=1e-2).double(),
        ll.shaping.ExpectationMaximisation(beta=1.0),
    )
    batch = Batch(digits[:500])
    shaping.prepare(energy, batch)
    values = []
    for _ in range(10):
        values.append(shaping(energy, batch).losses["energy"].item())
        shaping.update(energy, batch)
    assert all(after <= before + 1e-3 for before, after in itertools.pairwise(values))


def amari(matrix: Tensor) -> float:
    """The Amari distance of W A from a scaled permutation (Amari et al. 1996), between 0 and 1."""
    size = len(matrix)
    a = matrix.abs()
    rows = (a.sum(1) / a.amax(1) - 1).sum()
    columns = (a.sum(0) / a.amax(0) - 1).sum()
    return float(rows + columns) / (2 * size * (size - 1))


@pytest.mark.parametrize("source", ["logistic", "laplace"])
def test_ica_unmixes_laplacian_sources(source: str, generator: torch.Generator) -> None:
    """5,000 samples of 5 sources: the statistical error of W A is of the order of 1/√5000 = 0.014 for an entry."""
    uniform = torch.rand(5000, 5, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12) - 0.5
    sources = -uniform.sign() * torch.log1p(-2 * uniform.abs())
    mixing = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    energy = ll.energies.SquareICA(5, source=source).double()
    assert amari(energy.unmixing.detach() @ mixing) > 0.2
    train(energy, ll.shaping.NaturalGradient(0.2), sources @ mixing.T, steps=200, rate=0)
    assert amari(energy.unmixing.detach() @ mixing) < 0.05


def test_flow_integrates_to_one() -> None:
    """The rectangle rule on a grid that is fine against the density's width and wider than its support."""
    y = toy("two_moons", 1000)
    energy = ll.energies.NormalisingFlow(2, n_layers=6, width=32)
    train(energy, ll.shaping.MinimumEnergy(), y, steps=150, rate=5e-3)
    axis = torch.linspace(-6, 6, 601)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = torch.exp(-energy(y=grid)).sum() * (axis[1] - axis[0]) ** 2
        likelihood = -energy(y=y).mean()
    assert mass.item() == pytest.approx(1, abs=1e-2)
    gaussian = torch.distributions.MultivariateNormal(y.mean(0), torch.cov(y.T)).log_prob(y).mean()
    assert likelihood > gaussian + 0.2


def test_flow_is_invertible() -> None:
    energy = ll.energies.NormalisingFlow(5, n_layers=4, width=16).double()
    y = PerSampleRNG(0, torch.arange(10), torch.float64).normal(5)
    torch.testing.assert_close(energy.generate(energy.whiten(y)[0]), y, rtol=1e-9, atol=1e-9)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: energy.whiten(one[None])[0][0]))(y)
    torch.testing.assert_close(energy.whiten(y)[1], torch.linalg.slogdet(jacobian).logabsdet, rtol=1e-9, atol=1e-9)


def test_contraction_penalty_is_the_frobenius_norm(digits: Tensor) -> None:
    """For sigmoid units Σ_j (h_j (1 − h_j))² ‖W_j‖² (Rifai et al. 2011); Hutchinson's estimate agrees in the mean."""
    y = digits[:64].float()
    energy = ll.energies.Autoencoder(64, 16, hidden=(), code="sigmoid", tied=True)
    h = energy.code(y)
    closed = ((h * (1 - h)).square() @ energy.weight.square().sum(dim=1)).mean()
    exact = ll.shaping.Contraction(1.0, probes=None).penalty(energy, Batch(y))
    torch.testing.assert_close(exact, closed, rtol=1e-5, atol=1e-7)
    # 64 × 1000 draws of a sum of 16 squares, of relative deviation below √2: below 1 % with room to spare.
    estimate = ll.shaping.Contraction(1.0, probes=1000).penalty(energy, Batch(y))
    torch.testing.assert_close(estimate, closed, rtol=0.02, atol=0)


def test_variational_bound_of_a_linear_decoder_is_probabilistic_pca() -> None:
    """With Dec(z) = W z, p(y) = N(0, W Wᵀ + σ²); the bound is tight at the posterior, of deviation (1 + w²/σ²)^−½."""
    energy = ll.energies.VariationalAutoencoder(1, 1, hidden=(), noise=0.5).double()
    weight, variance = 2.0, 0.25
    scale = 1 / (1 + weight**2 / variance)
    energy.load_state_dict(
        {
            "encoder.0.weight": torch.tensor([[scale * weight / variance], [0.0]]),
            "encoder.0.bias": torch.tensor([0.0, 0.5 * math.log(scale)]),
            "decoder.0.weight": torch.tensor([[weight]]),
            "decoder.0.bias": torch.zeros(1),
            "log_noise": torch.tensor(math.log(0.5)),
        }
    )
    y = torch.tensor([[0.3], [-1.5]], dtype=torch.float64)
    noise = PerSampleRNG(0, torch.arange(2), torch.float64).normal(1)
    total = weight**2 + variance
    expected = 0.5 * y[:, 0].square() / total + 0.5 * math.log(2 * math.pi * total)
    # Averaged over ±ε and with E ε² = 1 put in by hand, the bound has no noise left.
    unit = noise.sign()
    mean = 0.5 * (energy.bound(y, unit) + energy.bound(y, -unit))
    torch.testing.assert_close(mean, expected, rtol=1e-6, atol=1e-6)


def test_dictionary_learning_lowers_the_lasso_objective(digits: Tensor) -> None:
    """By statistics no step may raise it (up to the solver's tolerance); by gradient it falls below half the start."""
    y, solver = digits[:300].float(), ll.solvers.FISTA(max_steps=200, tol=1e-4)
    slow, fast = (ll.energies.SparseCoding(64, 32, sparsity=0.1) for _ in range(2))
    shaping, values = ll.shaping.ExpectationMaximisation(solver), []
    for _ in range(10):
        values.append(ll.free_energy(fast, y, solver=solver).value.mean().item())
        shaping.update(fast, Batch(y))
    assert all(after <= before + 1e-3 for before, after in itertools.pairwise(values))
    train(slow, ll.shaping.MinimumEnergy(solver), y, steps=60, rate=0.02)
    assert max(ll.free_energy(slow, y, solver=solver).value.mean().item(), values[-1]) < 0.5 * values[0]
    torch.testing.assert_close(slow.dictionary.norm(dim=0), torch.ones(32))


def test_codebook_does_not_collapse(digits: Tensor) -> None:
    """From a codebook of which all but one entry lie far away, revival brings most entries back into use."""
    used = {}
    for revive in (0.0, 0.1):
        energy = ll.energies.VQVAE(64, groups=4, entries=8, hidden=(32,))
        shaping = ll.shaping.VectorQuantisation(revive_below=revive, memory=0.8)
        energy.codebook.data[:, 1:] += 100
        batch = Batch(digits[:400].float())
        optimiser = torch.optim.Adam(list(shaping.groups(energy)["energy"]), lr=3e-3)
        for _ in range(100):
            losses = shaping(energy, batch)
            optimiser.zero_grad()
            losses.losses["energy"].backward()
            optimiser.step()
            shaping.after_step(energy, batch)
            shaping.advance()
        used[revive] = losses.metrics["perplexity"].item()
    assert used[0.0] == pytest.approx(1, abs=1e-3)
    assert used[0.1] > 4
