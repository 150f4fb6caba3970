"""Shapings of an energy with a latent variable: they agree with the same shaping of its free energy, written out.

E(y, z) = ½‖y − W z‖² + ½ α ‖z‖² is least at z = (WᵀW + α I)⁻¹ Wᵀ y, where it is F(y) = ½ yᵀ (I + W Wᵀ / α)⁻¹ y: an
energy of y alone, in closed form.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import lowland as ll
from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy
from lowland.energies.flow import NormalisingFlow
from lowland.errors import DomainError, OptionError, UnsupportedError
from lowland.nn.layers import mlp
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.points import OtherSamples, Perturbed, ShortRun, WrongAnswers

ALPHA = 0.5


class Decoder(Energy):
    """A user's own energy: nothing but two domains and an equation."""

    def __init__(self) -> None:
        super().__init__(y=Reals(3), z=Reals(2))
        self.weight = nn.Parameter(torch.randn(3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))

    def energy(self, x: None, y: Tensor, z: Tensor) -> Tensor:
        return 0.5 * (y - z @ self.weight.T).square().sum(dim=1) + 0.5 * ALPHA * z.square().sum(dim=1)


class Eliminated(Energy):
    """Its free energy."""

    def __init__(self) -> None:
        super().__init__(y=Reals(3))
        self.weight = nn.Parameter(Decoder().weight.detach().clone())

    def energy(self, x: None, y: Tensor, z: None) -> Tensor:
        form = torch.eye(3, dtype=torch.float64) + self.weight @ self.weight.T / ALPHA
        return 0.5 * (y * torch.linalg.solve(form, y.T).T).sum(dim=1)


@pytest.fixture
def batch() -> Batch:
    y = torch.randn(12, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return Batch(y, index=torch.arange(12), total=12)


def _exactly() -> ll.solvers.LBFGS:
    return ll.solvers.LBFGS(max_steps=200, tol=1e-10, check_every=1)


def _generator() -> nn.Module:
    return mlp(2, 8, 3, generator=torch.Generator().manual_seed(3)).double()


def _flow() -> NormalisingFlow:
    return NormalisingFlow(3, n_layers=2, width=4).double()


SHAPINGS = {
    "SimplePair": lambda **o: ll.shaping.SimplePair(Perturbed(1.0), **o),
    "HingePair": lambda **o: ll.shaping.HingePair(OtherSamples(), margin=5.0, **o),
    "SquareSquarePair": lambda **o: ll.shaping.SquareSquarePair(Perturbed(1.0), **o),
    "InfoNCE": lambda **o: ll.shaping.InfoNCE(Perturbed(1.0), **o),
    "NeighbourhoodComponents": lambda **o: ll.shaping.NeighbourhoodComponents(Perturbed(1.0), **o),
    "NoiseContrastive": lambda **o: ll.shaping.NoiseContrastive(widen=2.0, **o),
    "VariationalLikelihood": lambda **o: ll.shaping.VariationalLikelihood(_flow(), penalty=0.1, **o),
    "GAN": lambda **o: ll.shaping.GAN(_generator(), 2, penalty=0.1, **o),
    "WGAN": lambda **o: ll.shaping.WGAN(_generator(), 2, **o),
    "DenoisingScoreMatching": lambda **o: ll.shaping.DenoisingScoreMatching(**o),
}


@pytest.mark.parametrize("name", SHAPINGS)
def test_losses_and_gradients_are_those_of_the_free_energy(name: str, batch: Batch) -> None:
    """In float64 with z to 1e-10; the derivative of the minimiser is by conjugate gradient to 1e-6."""
    results = []
    for energy, options in ((Decoder(), {"latent_solver": _exactly()}), (Eliminated(), {})):
        shaping = SHAPINGS[name](**options).double()
        shaping.prepare(energy, batch)
        losses = shaping(energy, batch).losses
        (slope,) = torch.autograd.grad(losses["energy"], energy.weight)
        results.append((losses["energy"].detach(), slope))
    assert results[0][1].norm() > 1e-3
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [*SHAPINGS, "ContrastiveDivergence", "persistent", "short run", "Denoising"])
def test_a_users_latent_energy_trains_by_default(name: str, batch: Batch) -> None:
    more = {
        "ContrastiveDivergence": lambda: ll.shaping.ContrastiveDivergence(),
        "persistent": lambda: ll.shaping.ContrastiveDivergence(persistent=True, chains=16),
        "short run": lambda: ll.shaping.HingePair(ShortRun(ll.solvers.GradientDescent(0.1, max_steps=5))),
        "Denoising": lambda: ll.shaping.Denoising(),
    }

    class Decoding(Decoder):
        def reconstruct(self, x: None, y: Tensor, z: Tensor) -> Tensor:
            return z @ self.weight.T

    energy = Decoding()
    before = energy.weight.detach().clone()
    shaping = (more.get(name) or SHAPINGS[name])().double()
    result = ll.fit(energy, batch.y.repeat(4, 1), shaping=shaping, max_steps=2, batch_size=6, progress=False)
    assert result.steps == 2
    assert torch.isfinite(energy.weight).all()
    assert not torch.equal(energy.weight, before)


def test_denoising_differentiates_through_the_code(batch: Batch) -> None:
    """ẑ = (WᵀW + αI)⁻¹ Wᵀỹ in closed form, so that the loss and its gradient are, too."""

    class Decoding(Decoder):
        def reconstruct(self, x: None, y: Tensor, z: Tensor) -> Tensor:
            return z @ self.weight.T

    energy, shaping = Decoding(), ll.shaping.Denoising(spread=0.5, solver=_exactly())
    loss = shaping(energy, batch).losses["energy"]
    (slope,) = torch.autograd.grad(loss, energy.weight)
    noisy = batch.y + 0.5 * ll.shaping.Denoising(spread=0.5).noise(batch.y).normal(3)
    weight = energy.weight.detach().clone().requires_grad_()
    code = torch.linalg.solve(weight.T @ weight + ALPHA * torch.eye(2, dtype=torch.float64), weight.T @ noisy.T).T
    right = (code @ weight.T - batch.y).square().sum(dim=1).mean()
    torch.testing.assert_close(loss, right, rtol=1e-6, atol=0)
    torch.testing.assert_close(slope, torch.autograd.grad(right, weight)[0], rtol=1e-5, atol=1e-7)


def test_beta_is_one_where_f_one_has_a_meaning_and_infinite_elsewhere(batch: Batch) -> None:
    class WithPrior(Decoder):
        def prior(self, x: None, noise: ll.tensors.PerSampleRNG, count: int) -> Tensor:
            return noise.normal(count, 2)

    shaping = ll.shaping.InfoNCE(Perturbed(1.0))
    assert shaping.beta_of(Decoder(), batch.y) == math.inf
    assert shaping.beta_of(WithPrior(), batch.y) == 1
    assert shaping.beta_of(Eliminated(), batch.y) == 1
    assert shaping.beta_of(ll.energies.RBM(3, 2), batch.y) == 1
    assert shaping.beta_of(ll.energies.PCA(3, 2).double(), batch.y) == math.inf
    assert ll.shaping.InfoNCE(Perturbed(1.0), beta=2.0).beta_of(Decoder(), batch.y) == 2


def test_errors_name_the_shaping_and_the_way_out(batch: Batch) -> None:
    with pytest.raises(DomainError, match=r"InfoNCE shapes F_β with β = 1\. .*`prior`, or use beta=inf"):
        ll.shaping.InfoNCE(Perturbed(1.0), beta=1.0)(Decoder(), batch)
    with pytest.raises(UnsupportedError, match=r"ScoreMatching takes three derivatives .* DenoisingScoreMatching"):
        ll.shaping.ScoreMatching()(Decoder(), batch)
    with pytest.raises(OptionError, match="beta must be a number"):
        ll.shaping.InfoNCE(Perturbed(1.0), beta="one")
    with pytest.raises(UnsupportedError, match=r"Decoder does not reconstruct y, .* `reconstruct`"):
        ll.shaping.Denoising()(Decoder(), batch)
    with pytest.raises(UnsupportedError, match="passes no gradient, so Denoising"):
        ll.shaping.Denoising()(ll.energies.KMeans(3, 2).double(), batch)
    with pytest.raises(UnsupportedError, match="samples y and z with one sampler"):
        ll.shaping.ContrastiveDivergence(ll.solvers.Gibbs())(Decoder(), batch)

    class Labels(Energy):
        def __init__(self) -> None:
            super().__init__(y=OneHot(3), z=Reals(2))

        def energy(self, x: None, y: Tensor, z: Tensor) -> Tensor:
            return y @ torch.arange(3.0) + z.square().sum(dim=1)

    with pytest.raises(UnsupportedError, match=r"WrongAnswers .* has a latent z"):
        ll.shaping.InfoNCE(WrongAnswers(), count=1)(Labels(), Batch(torch.eye(3)))


def test_a_proposal_that_cannot_be_drawn_from_is_named():
    with pytest.raises(OptionError, match="must be a NormalisingFlow, not a Linear"):
        ll.shaping.VariationalLikelihood(torch.nn.Linear(2, 2))
