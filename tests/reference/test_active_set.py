"""The exact coder against scikit-learn and FISTA, its certificates against the true gap, and its awkward inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet, Lasso
from torch import Tensor

import lowland as ll
from lowland.domains import NonNegative, Reals
from lowland.energies.base import Energy
from lowland.energies.structure import Penalty, Quadratic, Structure
from lowland.solvers import bind

SAMPLES, SIZE, ATOMS = 12, 20, 50
# FISTA's certificate falls slowly, so that less is asked of it.
TOL = {"compiled": 1e-9, "torch": 1e-6}


class Lassos(Energy):
    """½‖y − W z‖² + ½α‖z‖² + Σ λ_j |z_j|: an elastic net with a λ for each atom."""

    def __init__(self, weights: Tensor, ridge: float = 0.0, positive: bool = False) -> None:
        super().__init__(y=Reals(SIZE), z=NonNegative(len(weights)) if positive else Reals(len(weights)))
        generator = torch.Generator().manual_seed(1)
        dictionary = torch.randn(SIZE, len(weights), generator=generator, dtype=torch.float64)
        self.register_buffer("dictionary", torch.nn.functional.normalize(dictionary, dim=0).to(weights.dtype))
        self.register_buffer("weights", weights)
        self.ridge = ridge

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        smooth = 0.5 * (y - z @ self.dictionary.T).square().sum(1) + 0.5 * self.ridge * z.square().sum(1)
        return smooth + (self.weights * z.abs()).sum(1)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        gram = self.dictionary.T @ self.dictionary + self.ridge * torch.eye(len(self.weights), dtype=y.dtype)
        positive = isinstance(self.domain("z"), NonNegative)

        def prox(u: Tensor, step: Tensor) -> Tensor:
            size = (u.abs() - step * self.weights).clamp_min(0)
            return torch.where(u > 0, size, torch.zeros_like(u) if positive else -size)

        penalty = Penalty(lambda u: (self.weights * u.abs()).sum(1), prox, weights=self.weights)
        bound = torch.linalg.eigvalsh(gram)[-1] * (1 + 1e-6)
        return Structure(Quadratic(gram, y @ self.dictionary, 0.5 * y.square().sum(1)), penalty, bound)


def signals(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(SAMPLES, SIZE, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


def uniform(sparsity: float = 0.3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.full((ATOMS,), sparsity, dtype=dtype)


def solve(energy: Energy, y: Tensor, tol: float = 1e-9, **options: Any) -> ll.Solution:
    return ll.infer(energy, y=y, over="z", solver=ll.solvers.ActiveSet(tol, **options))


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_equals_scikit_learn(ridge: float, positive: bool, means: str) -> None:
    """The certificate bounds the excess of the energy over the minimum, which the reference reaches to 1e-12."""
    energy, y = Lassos(uniform(), ridge, positive), signals()
    # scikit-learn divides the square by the number of features.
    options = {"fit_intercept": False, "tol": 1e-12, "max_iter": 100_000, "positive": positive}
    total = 0.3 + ridge
    model = ElasticNet(alpha=total / SIZE, l1_ratio=0.3 / total, **options) if ridge else Lasso(0.3 / SIZE, **options)
    codes = np.stack([model.fit(energy.dictionary.numpy(), row).coef_ for row in y.numpy()])
    reference = energy(y=y, z=torch.from_numpy(codes))
    found = solve(energy, y, TOL[means]).raise_if_failed()
    torch.testing.assert_close(found.energy, reference, rtol=2 * TOL[means], atol=0)
    assert bool((found.value >= 0).all()) or not positive


def test_a_weight_for_each_atom_equals_fista(means: str) -> None:
    weights = 0.05 + torch.rand(ATOMS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    energy, y = Lassos(weights), signals()
    reference = ll.infer(energy, y=y, over="z", solver=ll.solvers.FISTA(max_steps=50_000, tol=1e-11))
    found = solve(energy, y, TOL[means]).raise_if_failed()
    torch.testing.assert_close(found.energy, reference.energy, rtol=2 * TOL[means], atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_the_certificate_bounds_the_true_gap(tol: float, dtype: torch.dtype, means: str) -> None:
    """The energies are compared in float64, at the very codes that were returned."""
    y, exact = signals(dtype), Lassos(uniform())
    exact.dictionary = Lassos(uniform(dtype=dtype)).dictionary.double()
    exact.weights = uniform(dtype=dtype).double()
    found = solve(Lassos(uniform(dtype=dtype)), y, tol)
    best = solve(exact, y.double(), 1e-12).energy
    excess = exact(y=y.double(), z=found.value.double()) - best
    # What the reference may itself be above the minimum, and the rounding of the certificate to the type of the code.
    slack = (1e-12 + 1e-15) * best + 1e-6 * found.residual * best
    assert bool((excess <= found.residual.double() * (best + excess) + slack).all())
    assert bool((found.residual <= tol).all())
    assert found.converged.all()


def test_more_coordinates_than_the_bound_are_no_reason_to_stop() -> None:
    energy, y = Lassos(uniform(0.01)), signals()
    wide, narrow = solve(energy, y), solve(energy, y, active=3)
    assert int((wide.value != 0).sum(1).min()) > 6
    assert narrow.converged.all()
    torch.testing.assert_close(narrow.value, wide.value, rtol=0, atol=1e-7)


def test_a_budget_that_ends_early_says_so() -> None:
    found = solve(Lassos(uniform(0.01)), signals(), max_rounds=2)
    assert found.status.tolist() == [ll.Status.MAX_STEPS] * SAMPLES
    assert bool((found.residual > 1e-9).all())
    assert bool(torch.isfinite(found.residual).all())


def test_any_start_leads_to_the_same_energy(means: str) -> None:
    energy, y = Lassos(uniform()), signals()
    best = solve(energy, y)
    for init in (best.value, torch.ones_like(best.value), -best.value.flip(0)):
        found = ll.infer(energy, y=y, over="z", init=init, solver=ll.solvers.ActiveSet(TOL[means], active=24))
        assert found.converged.all()
        torch.testing.assert_close(found.energy, best.energy, rtol=2 * TOL[means], atol=0)


def test_dead_and_twin_atoms(means: str) -> None:
    """An atom of norm 0 is never used. Of two that are equal, any mixture of one sign is a minimum."""
    energy, y = Lassos(uniform()), signals()
    energy.dictionary[:, 3], energy.dictionary[:, 7] = 0.0, energy.dictionary[:, 8]
    found = solve(energy, y, TOL[means])
    assert found.converged.all()
    assert not found.value[:, 3].any()
    alone = Lassos(uniform())
    alone.dictionary[:, 3], alone.dictionary[:, 7], alone.dictionary[:, 8] = 0.0, 0.0, energy.dictionary[:, 8]
    torch.testing.assert_close(found.energy, solve(alone, y).energy, rtol=2 * TOL[means], atol=0)


def test_a_silent_sample_has_the_code_zero(means: str) -> None:
    found = solve(Lassos(uniform()), torch.zeros(2, SIZE, dtype=torch.float64))
    assert found.converged.all()
    assert not found.value.any()
    assert found.residual.tolist() == [0.0, 0.0]


def test_rows_do_not_depend_on_threads_or_on_their_neighbours() -> None:
    energy, y = Lassos(uniform()), signals().repeat(100, 1)
    before = torch.get_num_threads()
    try:
        answers = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            answers.append(solve(energy, y).value)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(answers[0], answers[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(answers[0][:SAMPLES], answers[0][-SAMPLES:], rtol=0, atol=1e-12)


def test_implicit_gradients_equal_finite_differences() -> None:
    energy = ll.energies.SparseCoding(SIZE, ATOMS, 0.3).double()
    y = signals().requires_grad_()
    adjoint = ll.solvers.Implicit(tol=1e-10)
    found = ll.infer(energy, y=y, over="z", solver=ll.solvers.ActiveSet(1e-13), adjoint=adjoint)
    (gradient,) = torch.autograd.grad(found.value.sum(), y)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    with torch.no_grad():
        ends = [solve(energy, y + sign * 1e-6 * direction, 1e-13).value.sum() for sign in (1, -1)]
    torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-4, atol=0)


def test_what_it_cannot_do_it_says() -> None:
    energy, y = ll.energies.SparseCoding(SIZE, ATOMS, 0.3).double(), signals()
    with pytest.raises(ll.LowlandError, match="Implicit"):
        ll.infer(energy, y=y, over="z", solver=ll.solvers.ActiveSet(), adjoint=ll.solvers.Unroll())
    free = uniform()
    free[4] = 0.0
    with pytest.raises(ll.LowlandError, match="not positive"):
        solve(Lassos(free), y)
    with pytest.raises(ll.LowlandError, match="at least 1"):
        ll.solvers.ActiveSet(active=0)


@pytest.mark.parametrize("weight", [0.5, 2.0])
@pytest.mark.parametrize("name", ["ActiveSet", "CoordinateDescent"])
def test_a_weighted_energy_has_a_weighted_penalty(name: str, weight: float) -> None:
    energy, y = ll.energies.SparseCoding(SIZE, ATOMS, 0.3).double(), signals()
    solver = {"ActiveSet": ll.solvers.ActiveSet(1e-10), "CoordinateDescent": ll.solvers.CoordinateDescent(5000, 1e-9)}
    whole = ll.infer(weight * energy, y=y, over="z", solver=solver[name]).energy
    alone = ll.infer(energy, y=y, over="z", solver=ll.solvers.FISTA(20_000, 1e-9)).energy
    torch.testing.assert_close(whole, weight * alone, rtol=1e-8, atol=0)
    assert bind(energy, {"y": y}, "z").double().dtype == torch.float64
