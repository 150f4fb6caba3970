"""The lasso against scikit-learn, duality gaps, and derivatives through its solution against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from torch import Tensor

import lowland as ll

SPARSITY, SAMPLES = 0.3, 12


def problem(positive: bool = False) -> tuple[ll.energies.SparseCoding, Tensor]:
    generator = torch.Generator().manual_seed(1)
    energy = ll.energies.SparseCoding(20, 50, SPARSITY, positive=positive, generator=generator).double()
    return energy, torch.randn(SAMPLES, 20, generator=generator, dtype=torch.float64)


def sklearn_objective(energy: ll.energies.SparseCoding, y: Tensor, positive: bool) -> Tensor:
    """½‖y − W z‖² + λ‖z‖₁; scikit-learn divides the square by n_samples, here the number of features."""
    dictionary = energy.dictionary.detach().numpy()
    lasso = Lasso(alpha=SPARSITY / 20, fit_intercept=False, tol=1e-12, max_iter=100_000, positive=positive)
    codes = np.stack([lasso.fit(dictionary, row).coef_ for row in y.numpy()])
    return energy(y=y, z=torch.from_numpy(codes)).detach()


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("name", ["ISTA", "FISTA", "CoordinateDescent"])
def test_objective_equals_scikit_learn(name: str, positive: bool) -> None:
    energy, y = problem(positive)
    solver = getattr(ll.solvers, name)(max_steps=20_000, tol=1e-8)
    found = ll.infer(energy, y=y, over="z", solver=solver).raise_if_failed()
    objective = sklearn_objective(energy, y, positive)
    torch.testing.assert_close(found.energy.detach(), objective, rtol=1e-6, atol=0)
    # The gap certifies each sample by itself, without a reference. It is first order in the distance from the solution,
    # here 1e-8, where the objective is second order.
    gap = energy.duality_gap(y, found.value).detach()
    assert gap.shape == (SAMPLES,)
    assert bool((gap.abs() < 1e-6 * objective).all())


@pytest.mark.parametrize("positive", [False, True])
def test_duality_gap_bounds_the_distance_to_the_minimum(positive: bool) -> None:
    energy, y = problem(positive)
    with torch.no_grad():
        exact = ll.infer(energy, y=y, over="z", solver=ll.solvers.CoordinateDescent(tol=1e-10, max_steps=20_000))
        early = ll.infer(energy, y=y, over="z", solver=ll.solvers.FISTA(max_steps=10, tol=None))
        gap = energy.duality_gap(y, early.value)
        assert bool((gap >= early.energy - exact.energy).all())
        assert bool((gap > 1e-3).any())
        closed = energy.duality_gap(y, exact.value)
    # The residual is within 1e-10 · √D of optimal, and the gap is at most its product with ‖z‖₁ ≤ ½‖y‖²/λ.
    assert bool((closed.abs() <= 1e-6 * exact.energy).all())


def test_implicit_gradients_equal_finite_differences() -> None:
    energy, y = problem()
    solver = ll.solvers.FISTA(max_steps=50_000, tol=1e-11)
    weight = torch.randn(SAMPLES, 50, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def loss() -> Tensor:
        return (
            ll.infer(energy, y=y, over="z", solver=solver, adjoint=ll.solvers.Implicit(tol=1e-10)).value * weight
        ).sum()

    y.requires_grad_()
    by_dictionary, by_signal = torch.autograd.grad(loss(), [energy.dictionary, y])
    with torch.no_grad():
        for tensor, gradient in ((energy.dictionary, by_dictionary), (y, by_signal)):
            direction = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
            start, step = tensor.clone(), 1e-6
            ends = []
            for sign in (1, -1):
                tensor.copy_(start + sign * step * direction)
                ends.append(loss())
            tensor.copy_(start)
            numeric = (ends[0] - ends[1]) / (2 * step)
            torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-3, atol=0)


def test_envelope_gradient_equals_finite_differences() -> None:
    """F(θ) = min_z E: its central difference at step 1e-5 is exact to 1e-10 in float64, and F to the solver's 1e-10."""
    energy, y = problem()
    solver = ll.solvers.FISTA(max_steps=50_000, tol=1e-10)
    total = ll.free_energy(energy, y, solver=solver).value.sum()
    (gradient,) = torch.autograd.grad(total, energy.dictionary)
    direction = torch.randn(20, 50, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.no_grad():
        start, ends = energy.dictionary.clone(), []
        for sign in (1, -1):
            energy.dictionary.copy_(start + sign * 1e-5 * direction)
            ends.append(ll.free_energy(energy, y, solver=solver).value.sum())
        energy.dictionary.copy_(start)
    numeric = (ends[0] - ends[1]) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-5, atol=0)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_unrolled_gradient_equals_finite_differences_of_the_truncated_solver(checkpointing: bool) -> None:
    energy, y = problem()
    solver = ll.solvers.FISTA(max_steps=7, tol=None)

    def loss() -> Tensor:
        adjoint = ll.solvers.Unroll(checkpointing=checkpointing)
        return ll.infer(energy, y=y, over="z", solver=solver, adjoint=adjoint).value.square().sum()

    y.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(), y)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.no_grad():
        start, ends = y.clone(), []
        for sign in (1, -1):
            y.copy_(start + sign * 1e-6 * direction)
            ends.append(loss())
        y.copy_(start)
    torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=0)


@pytest.mark.parametrize("verb", ["free_energy", "infer"])
@pytest.mark.parametrize("second", ["dictionary", "signal"])
@pytest.mark.parametrize("first", ["dictionary", "signal"])
def test_a_second_derivative_through_a_detached_solution_raises(first: str, second: str, verb: str) -> None:
    """Mixed ones too: score matching, for instance, takes the first by the signal and the second by the weights."""
    energy, y = problem()
    inputs = {"dictionary": energy.dictionary, "signal": y.requires_grad_()}
    if verb == "infer":
        total = ll.infer(energy, y=y, over="z").energy.sum()
    else:
        total = ll.free_energy(energy, y, solver=ll.solvers.FISTA()).value.sum()
    (gradient,) = torch.autograd.grad(total, inputs[first], create_graph=True)
    with pytest.raises(ll.LowlandError, match=r"[Ii]mplicit"):
        torch.autograd.grad(gradient.square().sum(), inputs[second])


def test_the_mixed_second_derivative_by_implicit_differentiation_equals_finite_differences() -> None:
    """∂²F/∂y∂W along random directions: what the detached solution refuses. Central differences of the exact ∂F/∂y."""
    energy, y = problem()
    solver, adjoint = ll.solvers.FISTA(max_steps=50_000, tol=1e-11), ll.solvers.Implicit(tol=1e-10)
    generator = torch.Generator().manual_seed(4)
    along_y = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    along_w = torch.randn(20, 50, generator=generator, dtype=torch.float64)
    y.requires_grad_()

    def slope(**options: Any) -> Tensor:
        total = ll.free_energy(energy, y, solver=solver, **options).value.sum()
        return (torch.autograd.grad(total, y, create_graph=bool(options))[0] * along_y).sum()

    (mixed,) = torch.autograd.grad(slope(adjoint=adjoint), energy.dictionary)
    start, step, ends = energy.dictionary.detach().clone(), 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            energy.dictionary.copy_(start + sign * step * along_w)
        ends.append(slope())
    torch.testing.assert_close((mixed * along_w).sum(), (ends[0] - ends[1]) / (2 * step), rtol=1e-3, atol=0)
