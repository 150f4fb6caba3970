"""Matching pursuit and hard thresholding against scikit-learn and brute force, and greedy coordinate descent."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import orthogonal_mp
from torch import Tensor

import lowland as ll

SIZE, ATOMS, SAMPLES = 16, 30, 8


def problem(nonzeros: int, positive: bool = False) -> tuple[ll.energies.HardSparseCoding, Tensor]:
    energy = ll.energies.HardSparseCoding(SIZE, ATOMS, nonzeros, positive).double().requires_grad_(False)
    return energy, torch.randn(SAMPLES, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("nonzeros", [1, 4, 12])
def test_matching_pursuit_equals_scikit_learn(nonzeros: int, means: str) -> None:
    energy, y = problem(nonzeros)
    found = ll.infer(energy, y=y, over="z", solver=ll.solvers.OrthogonalMatchingPursuit())
    theirs = np.asarray(orthogonal_mp(energy.dictionary.numpy(), y.numpy().T, n_nonzero_coefs=nonzeros)).T
    np.testing.assert_allclose(found.value, theirs, atol=1e-9)
    torch.testing.assert_close(found.energy, energy(y=y, z=found.value))


def test_matching_pursuit_stops_at_an_error(means: str) -> None:
    """scikit-learn's `tol` is ‖y − W z‖², twice our E."""
    energy, y = problem(ATOMS)
    found = ll.infer(energy, y=y, over="z", solver=ll.solvers.OrthogonalMatchingPursuit(error=1.0))
    theirs = np.asarray(orthogonal_mp(energy.dictionary.numpy(), y.numpy().T, tol=2.0)).T
    np.testing.assert_allclose(found.value, theirs, atol=1e-9)
    assert bool((found.energy <= 1.0).all())


def test_matching_pursuit_of_positive_codes(means: str) -> None:
    energy, y = problem(6, positive=True)
    found = ll.infer(energy, y=y, over="z", solver=ll.solvers.OrthogonalMatchingPursuit())
    assert bool((found.value >= 0).all())
    codes = []
    for row in y:
        chosen: list[int] = []
        code = np.zeros(ATOMS)
        for _ in range(6):
            left = energy.dictionary.T.numpy() @ (row.numpy() - energy.dictionary.numpy() @ code)
            chosen.append(int(left.argmax()))
            fitted = np.linalg.lstsq(energy.dictionary.numpy()[:, chosen], row.numpy(), rcond=None)[0]
            if (fitted < 0).any():
                break
            code[chosen] = fitted
        codes.append(code)
    np.testing.assert_allclose(found.value, np.stack(codes), atol=1e-9)
    # One atom with its best positive weight is the first step, and every other step lowers E.
    first = 0.5 * y.square().sum(1) - 0.5 * (y @ energy.dictionary).clamp_min(0).amax(1).square()
    assert bool((found.energy <= first + 1e-12).all())


def test_equal_atoms_are_taken_once(means: str) -> None:
    energy, _ = problem(4)
    energy.dictionary[:, 1] = energy.dictionary[:, 0]
    found = ll.infer(energy, y=energy.dictionary.T[:2].clone(), over="z", solver=ll.solvers.OrthogonalMatchingPursuit())
    assert bool(((found.value != 0).sum(1) == 1).all())
    silent = ll.infer(energy, y=torch.zeros(2, SIZE).double(), over="z", solver=ll.solvers.OrthogonalMatchingPursuit())
    assert not silent.value.any()


def test_hard_thresholding_finds_sparse_codes_and_local_minima() -> None:
    """It gets most codes of noiseless signals back; elsewhere it is never better than exhaustive search."""
    energy, y = problem(2)
    code = torch.zeros(SAMPLES, ATOMS).double()
    for row in range(SAMPLES):
        code[row, [row, row + 9]] = torch.tensor([1.0, -2.0]).double()
    found = ll.infer(energy, y=code @ energy.dictionary.T, over="z", solver=ll.solvers.CGIHT(tol=1e-10))
    recovered = (found.energy < 1e-12).sum()
    assert int(recovered) >= SAMPLES - 2
    best = torch.full((SAMPLES,), torch.inf).double()
    for pair in itertools.combinations(range(ATOMS), 2):
        atoms = energy.dictionary[:, list(pair)]
        left = y.T - atoms @ torch.linalg.lstsq(atoms, y.T).solution
        best = torch.minimum(best, 0.5 * left.square().sum(0))
    found = ll.infer(energy, y=y, over="z", solver=ll.solvers.CGIHT(tol=1e-10)).raise_if_failed()
    assert bool((found.energy >= best - 1e-12).all())
    assert bool((found.energy < 0.5 * y.square().sum(1)).all())
    # On its support the answer is the least-squares one.
    slope = (energy.reconstruct(None, None, found.value) - y) @ energy.dictionary
    assert float((slope * (found.value != 0)).abs().max()) < 1e-9


@pytest.mark.parametrize("positive", [False, True])
def test_greedy_coordinate_descent_finds_the_lasso(positive: bool) -> None:
    energy = ll.energies.SparseCoding(SIZE, ATOMS, 0.3, positive).double()
    y = problem(1)[1]
    greedy = ll.solvers.CoordinateDescent(max_steps=500, tol=1e-9, rule="greedy")
    found = ll.infer(energy, y=y, over="z", solver=greedy).raise_if_failed()
    exact = ll.infer(energy, y=y, over="z", solver=ll.solvers.ActiveSet(1e-12))
    torch.testing.assert_close(found.energy, exact.energy, rtol=1e-8, atol=0)


def test_what_they_cannot_do_they_say() -> None:
    energy, y = problem(2)
    lasso = ll.energies.SparseCoding(SIZE, ATOMS, 0.3).double()
    for solver in (ll.solvers.OrthogonalMatchingPursuit(), ll.solvers.CGIHT()):
        with pytest.raises(ll.LowlandError, match="number of coordinates"):
            ll.infer(lasso, y=y, over="z", solver=solver)
    with pytest.raises(ll.LowlandError, match="nonzeros"):
        ll.energies.HardSparseCoding(SIZE, ATOMS, nonzeros=0)
    with pytest.raises(ll.LowlandError, match="error"):
        ll.solvers.OrthogonalMatchingPursuit(error=-1.0)
    matching, unroll = ll.solvers.OrthogonalMatchingPursuit(), ll.solvers.Unroll()
    with pytest.raises(ll.LowlandError, match="no steps"):
        ll.infer(energy.requires_grad_(), y=y, over="z", solver=matching, adjoint=unroll)
    with pytest.raises(ll.LowlandError, match="convex"):
        energy.duality_gap(y, torch.zeros(SAMPLES, ATOMS).double())
    with pytest.raises(ll.LowlandError, match="rule"):
        ll.solvers.CoordinateDescent(rule="greddy")


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"tol": -1.0}, {"damping": -0.1}])
def test_implicit_refuses_options_that_solve_nothing(options: dict[str, float]) -> None:
    with pytest.raises(ll.LowlandError, match="at least"):
        ll.solvers.Implicit(**options)  # pyright: ignore[reportArgumentType]
