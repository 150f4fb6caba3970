"""Convolutional sparse coding against dense matrices built by brute force, its KKT conditions, and differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.energies import ConvolutionalSparseCoding
from lowland.errors import DomainError, OptionError
from lowland.solvers import bind
from lowland.solvers.adjoint import Implicit, Unroll

LAMBDA = 0.15


def energy_of(channels: int = 1, masked: bool = False, prediction: float = 0.0) -> ConvolutionalSparseCoding:
    generator = torch.Generator().manual_seed(1)
    made = ConvolutionalSparseCoding(
        (channels, 5, 6), n_filters=3, size=3, sparsity=LAMBDA, masked=masked, prediction=prediction,
        generator=generator,
    )  # fmt: skip
    return made.double()


def images_of(channels: int = 1, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, 5, 6, generator=torch.Generator().manual_seed(2)).double()


def half_mask(batch: int = 2) -> Tensor:
    return (torch.rand(batch, 1, 5, 6, generator=torch.Generator().manual_seed(3)) < 0.6).double()


def dense(energy: ConvolutionalSparseCoding) -> Tensor:
    """The matrix A (C·H·W, K·H·W) of z ↦ Σ W_k ∗ z_k, entry by entry from the definition of a circular convolution."""
    filters, (channels, height, width) = energy.filters.detach(), energy.domain("y").shape
    count, _, size, _ = filters.shape
    matrix = torch.zeros(channels, height, width, count, height, width, dtype=torch.float64)
    for c, k, p, q, i, j in torch.cartesian_prod(*map(torch.arange, (channels, count, height, width, size, size))):
        matrix[c, (p + i) % height, (q + j) % width, k, p, q] += filters[k, c, i, j]
    return matrix.reshape(channels * height * width, -1)


def solve(energy: ConvolutionalSparseCoding, solver: Any, **given: Any) -> ll.Solution:
    return ll.infer(energy, over="z", solver=solver, **given)


FISTA = ll.solvers.FISTA(max_steps=20_000, tol=1e-10)
ADMM = ll.solvers.ADMM(max_steps=20_000, tol=1e-10)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_fourier_domain_says_what_the_definition_says(channels: int) -> None:
    energy, y = energy_of(channels), images_of(channels)
    z = torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(4)).double()
    matrix, flat = dense(energy), z.flatten(1)
    torch.testing.assert_close(energy.reconstruct(None, y, z).flatten(1), flat @ matrix.T, rtol=0, atol=1e-12)
    expected = 0.5 * (y.flatten(1) - flat @ matrix.T).square().sum(1) + LAMBDA * flat.abs().sum(1)
    torch.testing.assert_close(energy(y=y, z=z), expected, rtol=1e-12, atol=0)
    largest = torch.linalg.eigvalsh(matrix.T @ matrix)[-1]
    bound = bind(energy, {"y": y}, "z").structure.bound()
    torch.testing.assert_close(torch.as_tensor(bound).reshape(()), largest, rtol=2e-5, atol=0)


@pytest.mark.parametrize("prediction", [0.0, 0.7])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_prox_of_the_smooth_part_solves_the_dense_system(channels: int, prediction: float) -> None:
    energy, y = energy_of(channels, prediction=prediction), images_of(channels)
    matrix, rho = dense(energy), torch.tensor([[0.3], [2.0]]).double()
    v = torch.randn(2, matrix.shape[1], generator=torch.Generator().manual_seed(5)).double()
    with torch.no_grad():
        problem = bind(energy, {"y": y}, "z")
        way, value = problem.smooth_prox(v, rho)
        found = v + way
        guess = energy.code(y).flatten(1) if prediction else torch.zeros_like(v)
        for row in range(2):
            system = matrix.T @ matrix + (prediction + rho[row]) * torch.eye(len(v[0]))
            right = matrix.T @ y[row].flatten() + prediction * guess[row] + rho[row] * v[row]
            torch.testing.assert_close(found[row], torch.linalg.solve(system, right), rtol=0, atol=1e-10)
        torch.testing.assert_close(value, problem.smooth(found)[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("channels", [1, 2])
def test_both_solvers_find_the_lasso_of_the_dense_matrix(channels: int) -> None:
    """The KKT conditions hold to the tolerance of the solvers, times the condition of what they measure."""
    energy, y = energy_of(channels), images_of(channels)
    matrix = dense(energy)
    lasso = ll.energies.SparseCoding(len(matrix), matrix.shape[1], LAMBDA).double()
    lasso.dictionary.data = matrix
    exact = ll.infer(lasso, y=y.flatten(1), over="z", solver=ll.solvers.ActiveSet(tol=1e-12))
    for solver in (FISTA, ADMM):
        found = solve(energy, solver, y=y)
        assert found.status.tolist() == [0, 0]
        torch.testing.assert_close(found.energy, exact.energy, rtol=1e-9, atol=0)
        z = found.value.flatten(1)
        slope = (y.flatten(1) - z @ matrix.T) @ matrix
        assert bool((slope.abs() <= LAMBDA + 1e-8).all())
        torch.testing.assert_close(slope[z != 0], LAMBDA * z.sign()[z != 0], rtol=0, atol=1e-8)


def test_a_masked_image_is_the_lasso_of_the_known_pixels() -> None:
    energy, y, mask = energy_of(masked=True), images_of(), half_mask()
    matrix, found = dense(energy), solve(energy, FISTA, x=mask, y=y)
    for row in range(2):
        known = mask[row].flatten() > 0
        lasso = ll.energies.SparseCoding(int(known.sum()), matrix.shape[1], LAMBDA).double()
        lasso.dictionary.data = matrix[known]
        exact = ll.infer(lasso, y=y[row].flatten()[None, known], over="z", solver=ll.solvers.ActiveSet(tol=1e-12))
        torch.testing.assert_close(found.energy[row : row + 1], exact.energy, rtol=1e-9, atol=0)
    changed = torch.where(mask > 0, y, 100.0)
    torch.testing.assert_close(solve(energy, FISTA, x=mask, y=changed).value, found.value, rtol=0, atol=0)


def test_a_mask_of_ones_changes_nothing() -> None:
    masked, y = energy_of(masked=True), images_of()
    with_ones = solve(masked, FISTA, x=torch.ones(2, 1, 5, 6).double(), y=y)
    torch.testing.assert_close(with_ones.energy, solve(energy_of(), ADMM, y=y).energy, rtol=1e-9, atol=0)


def test_an_encoder_pulls_the_code() -> None:
    """With α/2 ‖z − Enc‖² in the energy both solvers agree, and inference starts at Enc(y)."""
    energy, y = energy_of(prediction=0.7), images_of()
    one, other = solve(energy, FISTA, y=y), solve(energy, ADMM, y=y)
    torch.testing.assert_close(one.energy, other.energy, rtol=1e-10, atol=0)
    torch.testing.assert_close(one.value, other.value, rtol=0, atol=1e-6)
    guess = ll.infer(energy, y=y, over="z", solver=ll.solvers.Amortised())
    torch.testing.assert_close(guess.value, energy.code(y), rtol=0, atol=0)


def _slope(function: Any, parameter: Tensor) -> tuple[Tensor, Tensor]:
    """The derivative of a scalar along a random direction, by autograd and by central differences."""
    direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(6)).double()
    (gradient,) = torch.autograd.grad(function(), parameter)
    with torch.no_grad():
        parameter += 1e-6 * direction
        ahead = function()
        parameter -= 2e-6 * direction
        behind = function()
        parameter += 1e-6 * direction
    return (gradient * direction).sum(), (ahead - behind) / 2e-6


@pytest.mark.parametrize("solver", [FISTA, ADMM], ids=["FISTA", "ADMM"])
@pytest.mark.parametrize("how", ["detach", "implicit", "unroll"])
@pytest.mark.parametrize("which", ["filters", "image"])
def test_gradients_through_the_code(solver: Any, how: str, which: str) -> None:
    """Of F by the envelope theorem, and of a loss of z by both adjoints; codes are solved to 1e-10."""
    energy, y = energy_of(channels=2), images_of(channels=2)
    weights = torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(7)).double()
    adjoint = {"detach": None, "implicit": Implicit(tol=1e-10), "unroll": Unroll()}[how]
    y.requires_grad_(which == "image")
    energy.filters.requires_grad_(which == "filters")
    if how == "unroll":
        # As far as the answer: step sizes are constants to Unroll, and only there do they not matter.
        solver = type(solver)(max_steps=500, tol=None, check_every=50)

    def loss() -> Tensor:
        found = ll.infer(energy, y=y, over="z", solver=solver, adjoint=adjoint)
        return found.energy.sum() if how == "detach" else (weights * found.value).sum()

    slope, difference = _slope(loss, y if which == "image" else energy.filters)
    torch.testing.assert_close(slope, difference, rtol=2e-5, atol=1e-7)


def test_admm_measures_how_far_it_is() -> None:
    """The residual is at least the largest entry of the distance of 0 from ∂E, up to the factor of the norm of G."""
    energy, y = energy_of(), images_of()
    for steps in (10, 30, 100):
        found = solve(energy, ll.solvers.ADMM(max_steps=steps, tol=None), y=y)
        problem = bind(energy, {"y": y}, "z")
        z = found.value.flatten(1)
        gradient = problem.smooth(z)[1]
        distance = torch.where(z == 0, (gradient.abs() - LAMBDA).clamp_min(0), (gradient + LAMBDA * z.sign()).abs())
        assert bool((distance.amax(dim=1) <= found.residual * 1.01 + 1e-12).all())


def test_admm_does_not_care_where_rho_starts() -> None:
    energy, y = energy_of(), images_of()
    found = [solve(energy, ll.solvers.ADMM(rho=rho, max_steps=5000, tol=1e-8), y=y) for rho in (1e-3, 1.0, 1e3)]
    for other in found[1:]:
        assert other.status.tolist() == [0, 0]
        torch.testing.assert_close(other.energy, found[0].energy, rtol=1e-8, atol=0)


def test_admm_starts_where_it_is_told() -> None:
    """From the answer it ends at the first look."""
    energy, y = energy_of(), images_of()
    answer = solve(energy, ADMM, y=y)
    again = ll.infer(energy, y=y, over="z", solver=ll.solvers.ADMM(tol=1e-6), init=answer.value)
    assert again.steps.tolist() == [10, 10]
    torch.testing.assert_close(again.energy, answer.energy, rtol=1e-10, atol=0)


def test_one_image_is_shrunk_as_in_a_batch() -> None:
    energy, y = energy_of(), images_of()
    together = solve(energy, ll.solvers.ADMM(max_steps=40, tol=None), y=y)
    alone = solve(energy, ll.solvers.ADMM(max_steps=40, tol=None), y=y[:1])
    torch.testing.assert_close(alone.value[0], together.value[0], rtol=0, atol=1e-12)


def test_filters_are_learned() -> None:
    """Images made of two filters: training by the envelope theorem lowers F on images that it has not seen."""
    generator = torch.Generator().manual_seed(0)
    truth = ConvolutionalSparseCoding((1, 12, 12), n_filters=2, size=3, sparsity=0.05, generator=generator)
    z = torch.randn(80, 2, 12, 12, generator=generator) * (torch.rand(80, 2, 12, 12, generator=generator) < 0.05)
    with torch.no_grad():
        y = truth.reconstruct(None, None, z)
    learned = ConvolutionalSparseCoding((1, 12, 12), 2, 3, 0.05, generator=torch.Generator().manual_seed(5))
    solver = ll.solvers.ADMM(max_steps=20, tol=None)
    before = ll.free_energy(learned, y[60:], solver=solver).value.mean()
    shaping = ll.shaping.MinimumEnergy(solver=solver)
    ll.fit(learned, y[:60], shaping, max_steps=40, batch_size=20, lr=0.04, validation=0.0, progress=False)
    after, best = (ll.free_energy(e, y[60:], solver=solver).value.mean() for e in (learned, truth))
    assert after < before - 0.5 * (before - best)
    torch.testing.assert_close(learned.filters.detach().flatten(1).norm(dim=1), torch.ones(2))


def test_bad_input() -> None:
    with pytest.raises(OptionError, match="do not fit into images"):
        ConvolutionalSparseCoding((1, 8, 10), n_filters=2, size=9)
    with pytest.raises(OptionError, match="sparsity must be positive"):
        ConvolutionalSparseCoding((1, 8, 8), n_filters=2, size=3, sparsity=0.0)
    with pytest.raises(OptionError, match="no encoder"):
        energy_of().code(images_of())
    mask = half_mask()
    mask[1] = 0
    with pytest.raises(DomainError, match="hides every pixel of sample 1"):
        solve(energy_of(masked=True), FISTA, x=mask, y=images_of())
    with pytest.raises(DomainError, match="negative weights"):
        solve(energy_of(masked=True), FISTA, x=half_mask() - 2, y=images_of())
    with pytest.raises(ll.LowlandError, match="use FISTA"):
        solve(energy_of(masked=True), ADMM, x=half_mask(), y=images_of())
    with pytest.raises(OptionError, match="relaxation"):
        ll.solvers.ADMM(relaxation=2.0)
    with pytest.raises(OptionError, match="shrinkages"):
        ll.nn.ConvolutionalLISTA(torch.ones(1, 1, 2, 2), 0.1, 1.0, shrinkages=0)
    with pytest.raises(ll.LowlandError, match="K, C, h, h"):
        ll.nn.ConvolutionalLISTA(torch.ones(1, 2, 2), 0.1, 1.0)


def test_untrained_lista_is_ista() -> None:
    energy, y = energy_of(channels=2), images_of(channels=2)
    bound = float(bind(energy, {"y": y}, "z").structure.bound())
    encoder = ll.nn.ConvolutionalLISTA(energy.filters, LAMBDA, bound, shrinkages=4).double()
    found = solve(energy, ll.solvers.ISTA(max_steps=4, tol=None), y=y)
    torch.testing.assert_close(encoder(y), found.value, rtol=0, atol=1e-12)
