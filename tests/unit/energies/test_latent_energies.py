"""GLO, the conditional auto-encoder and DrSAE: against closed forms, linear algebra and their own solvers."""

from __future__ import annotations

import math

import pytest
import torch

import lowland as ll
from lowland.domains import Ball
from lowland.energies import ConditionalAutoencoder, DiscriminativeSparseAutoencoder, Generator
from lowland.errors import DomainError, OptionError, ShapeError, UnsupportedError
from lowland.shaping.base import Batch
from lowland.shaping.regularised.learned_latents import LearnedLatents
from lowland.solvers import ISTA, Adam, GradientDescent
from lowland.tensors import PerSampleRNG


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_draws_from_a_ball_are_uniform() -> None:
    """P(‖u‖ ≤ r) = r^d; over 4,000 draws a share deviates by less than 0.008, four of which is the tolerance."""
    ball = Ball(3, radius=2.0)
    length = ball.sample(PerSampleRNG(0, torch.arange(40)), 100).norm(dim=2).flatten()
    assert float(length.max()) <= 2 * (1 + 1e-6)
    for share in (0.3, 0.6, 0.9):
        assert float((length <= 2 * share ** (1 / 3)).float().mean()) == pytest.approx(share, abs=0.032)
    with pytest.raises(DomainError):
        Ball(3, radius=0.0)


def test_a_linear_generator_is_least_squares_on_a_ball() -> None:
    """Where ‖z‖ < 1 the answer is that of the normal equations; else ∂E/∂z points outwards along z."""
    energy = Generator(6, 3, hidden=()).double()
    weight, bias = (parameter.detach() for parameter in energy.network.parameters())
    y = bias + 1.5 * _normal(40, 3).double() @ weight.T * 0.6 + 0.01 * _normal(40, 6, seed=1).double()
    found = ll.infer(energy, y=y, over="z", solver=GradientDescent(0.5, max_steps=20000, tol=1e-9)).value
    free = torch.linalg.lstsq(weight, (y - bias).T).solution.T
    inside = free.norm(dim=1) < 1
    assert 5 < int(inside.sum()) < 35
    torch.testing.assert_close(found[inside], free[inside], rtol=0, atol=1e-6)
    slope = ((found @ weight.T + bias - y) @ weight)[~inside]
    assert bool((torch.nn.functional.cosine_similarity(-slope, found[~inside]) > 1 - 1e-6).all())
    torch.testing.assert_close(found[~inside].norm(dim=1), torch.ones(int((~inside).sum())).double())


def test_latents_are_kept_moved_and_drawn_by_their_index() -> None:
    y, energy = _normal(20, 5), Generator(5, 2, hidden=(8,))
    shaping = LearnedLatents(seed=3)
    shaping(energy, Batch(y[:4], index=torch.tensor([3, 1, 0, 2])))
    first = shaping.latents.clone()
    shaping.after_step(energy, Batch(y[:4]))
    assert not torch.equal(shaping.latents, first)
    shaping(energy, Batch(y[:1], index=torch.tensor([9])))
    assert shaping.latents.shape == (10, 2)
    whole = LearnedLatents(seed=3)
    whole(energy, Batch(y[:10], index=torch.arange(10)))
    assert torch.equal(whole.latents[:4], first)
    assert torch.equal(whole.latents[4:], shaping.latents[4:])
    with pytest.raises(UnsupportedError, match="index"):
        shaping(energy, Batch(y))


def test_learned_latents_fit_better_than_a_generator_of_random_ones() -> None:
    """The same steps with latents at rest: G cannot know which sample it is asked for, beyond 16 random numbers."""
    y = _normal(64, 4) @ _normal(4, 12, seed=1)
    errors = []
    for size in (0.1, 1e-9):
        energy = Generator(12, 4, hidden=(32,))
        shaping = LearnedLatents(GradientDescent(size, max_steps=1, tol=None, check_every=1))
        ll.fit(energy, y, shaping, max_steps=80, batch_size=32, lr=5e-3, validation=0.0, progress=False)
        with torch.no_grad():
            errors.append(energy(y=y, z=shaping.latents).mean().item())
    assert errors[0] < 0.5 * errors[1]


def test_a_prior_fitted_to_latents_has_their_moments() -> None:
    """Over 200,000 draws moments deviate by about 1 / √200,000 of their size: 0.03 is ten of that."""
    energy, codes = ConditionalAutoencoder(3, 4, n_latents=2), _normal(500, 2) @ torch.tensor([[2.0, 1.0], [0.0, 0.5]])
    energy.fit_prior(codes + 1)
    drawn = energy.prior(None, PerSampleRNG(0, torch.arange(1000)), 200).reshape(-1, 2)
    torch.testing.assert_close(drawn.mean(dim=0), (codes + 1).mean(dim=0), rtol=0, atol=0.06)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(codes.T), rtol=0, atol=0.12)
    with pytest.raises(ShapeError):
        energy.fit_prior(codes[:, :1])
    with pytest.raises(ShapeError):
        energy.predict(torch.zeros(2, 3), torch.zeros(3, 5, 2))


def test_answers_along_the_widest_axis_of_the_prior() -> None:
    """The first latent spreads twice as far as the second: with Dec(z, h) = z, answers lie along it."""
    energy = ConditionalAutoencoder(3, 2, n_latents=2, n_summary=1, hidden=())
    energy.load_state_dict(
        energy.state_dict() | {"decoder.0.weight": torch.eye(2, 3), "decoder.0.bias": torch.zeros(2)}
    )
    energy.fit_prior(torch.tensor([[3.0, 1.0], [-1.0, 1.0], [1.0, 2.0], [1.0, 0.0]]))
    x, deviations = _normal(4, 3), torch.tensor([0.0, 1.5])
    for axis, spread in enumerate((8 / 3, 2 / 3)):
        answers = energy.predict_along(x, deviations, axis)
        assert answers.shape == (4, 2, 2)
        torch.testing.assert_close(answers[:, 0], torch.ones(4, 2))
        moved = (answers[:, 1] - answers[:, 0]).abs()
        torch.testing.assert_close(moved[:, axis], torch.full((4,), 1.5 * spread**0.5))
        torch.testing.assert_close(moved[:, 1 - axis], torch.zeros(4), rtol=0, atol=1e-6)


def test_a_latent_variable_predicts_both_of_two_answers() -> None:
    """y = ±1 at random whatever x: one answer errs by 1 a coordinate, the best of 10 draws by less than a tenth."""
    x = _normal(512, 2)
    y = torch.sign(_normal(512, 1, seed=1)).expand(-1, 4).contiguous()
    energy = ConditionalAutoencoder(2, 4, 1, n_summary=8, hidden=(32,))
    solver = GradientDescent(0.03, max_steps=2, tol=None)
    shaping = ll.shaping.MinimumEnergy(solver=solver)
    ll.fit(energy, (x, y), shaping, max_steps=120, lr=5e-3, validation=0.0, progress=False)
    with torch.no_grad():
        energy.fit_prior(ll.infer(energy, x=x, y=y, over="z", solver=solver).value)
        drawn = energy.predict(x, energy.prior(None, PerSampleRNG(0, torch.arange(512)), 10))
    best = (drawn - y[:, None]).square().sum(dim=2).amin(dim=1).mean()
    one = y.var(dim=0, correction=0).sum()
    assert float(best) < 0.1 * float(one)


def test_inference_starts_at_the_encoder_and_lowers_the_energy() -> None:
    energy, x, y = ConditionalAutoencoder(3, 4, 2), _normal(8, 3), _normal(8, 4, seed=1)
    guess = ll.infer(energy, x=x, y=y, over="z", solver=ll.solvers.Amortised())
    found = ll.infer(energy, x=x, y=y, over="z", solver=Adam(0.05, max_steps=100, tol=None))
    torch.testing.assert_close(guess.value, energy.encoder(torch.cat([x, y], dim=1)))
    assert bool((found.energy < guess.energy).all())


def test_the_untrained_recurrent_encoder_is_ista() -> None:
    """z_T is T proximal steps of size 1/L from zero; L is the same to the rounding that a solver adds to it, 1e-6."""
    energy = DiscriminativeSparseAutoencoder(12, 3, n_atoms=20, sparsity=0.2, iterations=7)
    coding = ll.energies.SparseCoding(12, 20, 0.2, positive=True)
    coding.load_state_dict({"dictionary": energy.decoder.detach()})
    x = _normal(10, 12)
    steps = ll.infer(coding, y=x, over="z", solver=ISTA(max_steps=7, tol=None), init=torch.zeros(10, 20))
    torch.testing.assert_close(energy.code(x), steps.value, rtol=1e-4, atol=1e-5)


def test_the_energy_is_its_three_terms_and_log_z_of_classes() -> None:
    energy = DiscriminativeSparseAutoencoder(12, 3, n_atoms=20, discrimination=2.0, iterations=4)
    x, y = _normal(6, 12), torch.eye(3)[[0, 1, 2, 2, 1, 0]]
    z = energy.code(x)
    plain = 0.5 * (x - z @ energy.decoder.T).square().sum(dim=1) + 0.1 * z.sum(dim=1)
    wrong = torch.nn.functional.cross_entropy(energy.scores(z), y.argmax(dim=1), reduction="none")
    torch.testing.assert_close(energy(x=x, y=y), plain + 2 * wrong)
    answer = ll.infer(energy, x=x, over="y").value
    assert torch.equal(answer.argmax(dim=1), energy.scores(z).argmax(dim=1))


def test_an_image_without_a_code_scores_the_offset_and_has_a_gradient() -> None:
    energy = DiscriminativeSparseAutoencoder(4, 3, n_atoms=5, sparsity=1.0)
    energy(x=torch.zeros(2, 4), y=torch.eye(3)[:2]).sum().backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in energy.parameters())
    torch.testing.assert_close(energy.scores(energy.code(torch.zeros(1, 4))), energy.offset[None])


def test_constraints_hold_after_training() -> None:
    energy = DiscriminativeSparseAutoencoder(8, 2, n_atoms=10, iterations=3)
    x, y = _normal(100, 8), torch.eye(2)[(_normal(100, 8)[:, 0] > 0).long()]
    ll.fit(energy, (x, y), ll.shaping.MinimumEnergy(), max_steps=50, lr=0.05, validation=0.0, progress=False)
    torch.testing.assert_close(energy.decoder.norm(dim=0), torch.ones(10))
    assert float(energy.encoder.detach().norm(dim=1).max()) <= 1 + 1e-6
    assert float(energy.threshold.detach().min()) >= 0
    assert math.isfinite(energy(x=x, y=y).sum().item())


@pytest.mark.parametrize("options", [{"sparsity": 0.0}, {"discrimination": -1.0}, {"iterations": 0}])
def test_options_of_drsae_that_cannot_be(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        DiscriminativeSparseAutoencoder(4, 2, **options)


def test_weights_of_the_conditional_autoencoder_that_cannot_be() -> None:
    with pytest.raises(OptionError):
        ConditionalAutoencoder(3, 4, 2, regularisation=-1.0)
