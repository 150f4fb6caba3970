"""Where the points come from that contrastive shapings push up."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.errors import LowlandError, OptionError, UnsupportedError
from lowland.nn import mlp
from lowland.shaping import Batch, Shaping
from lowland.shaping.contrastive.points import OtherSamples, Perturbed, ShortRun, WrongAnswers, binarise
from lowland.solvers import GradientDescent


def points(count: int = 6) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(0))


def test_a_short_run_goes_down_from_its_start() -> None:
    energy, batch = ll.energies.Gaussian(2), Batch(points())
    found = ShortRun(GradientDescent(0.1, max_steps=20, tol=None), spread=1.0)(Shaping(), energy, batch, 2)
    start = ShortRun(GradientDescent(0.1, max_steps=0, tol=None), spread=1.0)(Shaping(), energy, batch, 2)
    assert found.shape == (12, 2)
    assert not found.requires_grad
    assert bool((energy(y=found) < energy(y=start)).all())


def test_a_short_run_from_noise_forgets_the_data() -> None:
    rule = ShortRun(GradientDescent(max_steps=0), spread=1.0, start="noise")
    one = rule(Shaping(), ll.energies.Gaussian(2), Batch(points()), 1)
    other = rule(Shaping(), ll.energies.Gaussian(2), Batch(points() + 5), 1)
    assert torch.equal(one, other)


def test_perturbed_points_lie_at_the_spread() -> None:
    y = torch.zeros(5000, 2)
    found = Perturbed(0.5)(Shaping(), ll.energies.Gaussian(2), Batch(y), 2)
    # 20,000 numbers: the relative error of their deviation is 1 / √40000.
    assert float(found.std()) == pytest.approx(0.5, rel=4 / 200)


def test_other_samples_are_others_and_do_not_repeat() -> None:
    y = torch.arange(5.0)[:, None]
    found = OtherSamples()(Shaping(), ll.energies.NetworkEnergy(1), Batch(y), 4).reshape(5, 4)
    for row in range(5):
        assert sorted(found[row].tolist()) == [float(v) for v in range(5) if v != row]


def test_other_samples_need_enough_of_them() -> None:
    with pytest.raises(OptionError, match="1 … 4 negatives in a batch of 5"):
        OtherSamples()(Shaping(), ll.energies.NetworkEnergy(1), Batch(torch.zeros(5, 1)), 5)


def test_a_conditional_energy_learns_pairs() -> None:
    """y = x is compatible, the y of another sample is not."""
    x = torch.randn(64, 1, generator=torch.Generator().manual_seed(0))
    energy = ll.energies.NetworkEnergy(1, hidden=(32,), n_inputs=1)
    shaping = ll.shaping.InfoNCE(OtherSamples(), count=8)
    optimiser = torch.optim.Adam(energy.parameters(), lr=1e-2)
    first = last = 0.0
    for step in range(100):
        optimiser.zero_grad()
        found = shaping(energy, Batch(x, x))
        found.losses["energy"].backward()
        optimiser.step()
        shaping.advance()
        last = float(found.metrics["gap"])
        first = last if step == 0 else first
    assert last > first + 1


def test_grey_values_are_drawn_for_a_binary_y_only() -> None:
    grey = torch.full((200, 3), 0.5)
    drawn = binarise(Shaping(), ll.energies.RBM(3, 2), grey)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert binarise(Shaping(), ll.energies.Gaussian(3), grey) is grey
    binary = torch.tensor([[0.0, 1.0, 1.0]])
    assert torch.equal(binarise(Shaping(), ll.energies.RBM(3, 2), binary), binary)


BAD = {
    "spread": lambda: Perturbed(0.0),
    "start": lambda: ShortRun(GradientDescent(), start="elsewhere"),
    "confinement": lambda: ll.energies.NetworkEnergy(2, confinement=0.0),
    "mean": lambda: ll.energies.Gaussian(2, mean=torch.zeros(3)),
    "positive definite": lambda: ll.energies.Gaussian(2, precision=-torch.eye(2)),
    "masks": lambda: ll.energies.MaskedAutoencoder(4, n_masks=3),
    "low < high": lambda: ll.shaping.MaximumLikelihoodGrid(low=1.0, high=0.0),
    "ratio": lambda: ll.shaping.NoiseContrastive(ratio=0),
    "widen": lambda: ll.shaping.NoiseContrastive(widen=0.0),
    "chains": lambda: ll.shaping.ContrastiveDivergence(chains=0),
    "count": lambda: ll.shaping.InfoNCE(Perturbed(1.0), count=0),
    "temperature": lambda: ll.shaping.InfoNCE(Perturbed(1.0), temperature=0.0),
    "dropped": lambda: ll.shaping.Denoising(spread=0.0),
    "visible": lambda: ll.shaping.Masked(visible=(0.7, 0.3)),
    "n_noise": lambda: ll.shaping.GAN(mlp(2, 2), 0),
    "margin": lambda: ll.shaping.EBGAN(mlp(2, 2), 2, margin=0.0),
    "penalty": lambda: ll.shaping.VariationalLikelihood(ll.energies.NormalisingFlow(2), penalty=-1.0),
    "smoothing": lambda: ll.shaping.ScoreMatching(smoothing=-1.0),
    "slices": lambda: ll.shaping.SlicedScoreMatching(slices=0),
    "at least two sizes": lambda: mlp(3),
}


@pytest.mark.parametrize("culprit", BAD)
def test_options_outside_their_range_are_named(culprit: str) -> None:
    with pytest.raises(LowlandError, match=culprit):
        BAD[culprit]()


def network() -> ll.energies.NetworkEnergy:
    return ll.energies.NetworkEnergy(3, hidden=(4,))


UNSUPPORTED = {
    "log Z": (lambda: ll.shaping.MaximumLikelihood(), network),
    "two features": (lambda: ll.shaping.MaximumLikelihoodGrid(), network),
    "does not reconstruct": (lambda: ll.shaping.Denoising(), network),
    "MaskedAutoencoder": (lambda: ll.shaping.Masked(), network),
    "Autoencoder": (lambda: ll.shaping.EBGAN(mlp(2, 3), 2), network),
}


@pytest.mark.parametrize("culprit", UNSUPPORTED)
def test_an_energy_that_does_not_fit_is_an_error_with_a_reason(culprit: str) -> None:
    shaping, energy = (make() for make in UNSUPPORTED[culprit])
    with pytest.raises(UnsupportedError, match=culprit):
        shaping(energy, Batch(torch.zeros(4, 3)))


@pytest.mark.parametrize(
    "shaping",
    [
        ll.shaping.NoiseContrastive(),
        ll.shaping.ContrastiveDivergence(ll.solvers.Langevin(max_steps=1), persistent=True),
    ],
)
def test_what_prepare_sets_is_missed_with_a_hint(shaping: Shaping) -> None:
    with pytest.raises(OptionError, match="prepare"):
        shaping(network(), Batch(torch.zeros(4, 3)))


def test_more_samples_than_chains_is_an_error() -> None:
    shaping = ll.shaping.ContrastiveDivergence(ll.solvers.Langevin(max_steps=1), persistent=True, chains=2)
    shaping.prepare(network(), Batch(torch.zeros(4, 3)))
    with pytest.raises(OptionError, match="chains=2"):
        shaping(network(), Batch(torch.zeros(4, 3)))


def test_images_need_to_be_flattened() -> None:
    with pytest.raises(UnsupportedError, match=r"vectors \(B, D\)"):
        ll.shaping.ScoreMatching()(network(), Batch(torch.zeros(4, 1, 3)))


def test_wrong_answers_are_the_lowest_others() -> None:
    """With f(x) = x, E(x, y) = −x_k, the wrong answers in order are the other coordinates from the largest down."""
    energy = ll.energies.Classifier(4, 4, hidden=())
    energy.network = torch.nn.Identity()
    x = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 4.0, 2.0, 3.0]])
    batch = Batch(torch.eye(4)[[1, 1]], x)
    assert WrongAnswers()(Shaping(), energy, batch, 3).argmax(dim=1).tolist() == [0, 2, 3, 3, 2, 0]
    assert WrongAnswers()(Shaping(), energy, batch, 1).argmax(dim=1).tolist() == [0, 3]
    for count in (0, 4):
        with pytest.raises(OptionError, match="3 wrong answers"):
            WrongAnswers()(Shaping(), energy, batch, count)


def test_wrong_answers_need_a_finite_y() -> None:
    with pytest.raises(LowlandError, match="cannot be enumerated"):
        WrongAnswers()(Shaping(), ll.energies.Gaussian(2), Batch(points()), 1)
