"""Continuous minimisation against SciPy: bounded quadratics, the ellipse, and derivatives of a smooth problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor, nn

import lowland as ll
from lowland.domains import Box, NonNegative, Reals
from lowland.energies.base import Energy

SAMPLES, SIZE = 20, 8


class BoxedQuadratic(Energy):
    """½ zᵀ P z − x·z over a box (or z ≥ 0), with the condition number of P about 30."""

    def __init__(self, domain: Any) -> None:
        super().__init__(x=Reals(SIZE), z=domain)
        generator = torch.Generator().manual_seed(1)
        axes = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)).Q
        self.matrix = axes @ torch.diag(torch.logspace(-1, 0.5, SIZE, dtype=torch.float64)) @ axes.T

    def energy(self, x: Any, y: Any, z: Tensor) -> Tensor:
        return 0.5 * ((z @ self.matrix) * z).sum(dim=1) - (x * z).sum(dim=1)


def linear() -> Tensor:
    return torch.randn(SAMPLES, SIZE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def scipy_minimum(energy: BoxedQuadratic, x: Tensor) -> Tensor:
    matrix, bounds = energy.matrix.numpy(), [energy.domain("z").bounds] * SIZE

    def solve(row: np.ndarray) -> float:
        found = scipy.optimize.minimize(
            lambda z: (0.5 * z @ matrix @ z - row @ z, matrix @ z - row), np.zeros(SIZE), jac=True,
            method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-10},
        )  # fmt: skip
        return float(found.fun)

    return torch.tensor([solve(row) for row in x.numpy()], dtype=torch.float64)


BOX, POSITIVE = Box(SIZE, low=-1.0, high=1.0), NonNegative(SIZE)


@pytest.mark.parametrize(
    ("solver", "tolerance"),
    [
        (ll.solvers.LBFGS(), 1e-3),
        (ll.solvers.GradientDescent(0.3, max_steps=3000), 1e-3),
        (ll.solvers.Adam(0.02, max_steps=3000), 1e-3),
        (ll.solvers.FISTA(), 1e-3),
        # A population has to be told how far a minimum may lie where no bound tells it.
        (ll.solvers.CEM(samples=256, deviation=4.0, max_steps=60), 0.05),
        (ll.solvers.MPPI(samples=256, deviation=4.0, max_steps=100), 0.05),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("domain", [BOX, POSITIVE], ids=["box", "non-negative"])
def test_bounded_quadratics_reach_the_objective_of_scipy(solver: Any, tolerance: float, domain: Any) -> None:
    """The objective is 0 at the start and negative at the minimum, so that a relative error means something."""
    check_against_scipy(solver, tolerance, domain)


@pytest.mark.parametrize("solver", [ll.solvers.CEM(), ll.solvers.MPPI()], ids=["CEM", "MPPI"])
def test_populations_reach_the_objective_of_scipy_in_a_box_with_their_defaults(solver: Any) -> None:
    check_against_scipy(solver, 0.05, BOX)


def check_against_scipy(solver: Any, tolerance: float, domain: Any) -> None:
    energy, x = BoxedQuadratic(domain), linear()
    found = ll.infer(energy, x=x, over="z", solver=solver)
    torch.testing.assert_close(found.energy, scipy_minimum(energy, x), rtol=tolerance, atol=0)
    assert bool(domain.contains(found.value, tolerance=0.0).all())
    unbounded = torch.linalg.solve(energy.matrix, x.T).T
    assert not bool(domain.contains(unbounded).any()), "the bounds matter for each sample"


def test_free_energy_of_the_ellipse_is_the_squared_distance() -> None:
    """1,000 points; independently, SciPy finds the angle in the best of 720 intervals to 1e-12."""
    radii = np.array([2.0, 1.0])
    y = 2 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(3))
    grid = np.linspace(0, 2 * np.pi, 721)

    def closest(point: np.ndarray) -> np.ndarray:
        def distance(angle: Any) -> Any:
            return (point[0] - radii[0] * np.sin(angle)) ** 2 + (point[1] - radii[1] * np.cos(angle)) ** 2

        best = grid[distance(grid).argmin()]
        bounds = (best - grid[1], best + grid[1])
        angle = scipy.optimize.minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
        return radii * np.array([np.sin(angle), np.cos(angle)])

    points = torch.from_numpy(np.stack([closest(row) for row in y.double().numpy()])).float()
    y.requires_grad_()
    free = ll.free_energy(ll.energies.Ellipse(), y)
    torch.testing.assert_close(free.value, (y - points).square().sum(dim=1), rtol=0, atol=1e-4)
    (gradient,) = torch.autograd.grad(free.value.sum(), y)
    assert float(torch.cosine_similarity(-gradient, (points - y).detach()).min()) > 0.999


class Regularised(Energy):
    """A smooth, strictly convex energy of z that is not quadratic: Σ cosh(z) + ½ θ‖z‖² − y·(A z)."""

    def __init__(self) -> None:
        super().__init__(y=Reals(3), z=Reals(4))
        self.matrix = nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
        self.weight = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return (torch.cosh(z) + 0.5 * self.weight * z.square()).sum(dim=1) - (y @ self.matrix * z).sum(dim=1)


def test_implicit_first_and_second_derivatives_equal_finite_differences() -> None:
    """torch's own gradcheck and gradgradcheck, central differences at step 1e-6, with a solution to 1e-12."""
    energy = Regularised()
    solver = ll.solvers.LBFGS(max_steps=500, tol=1e-12)
    y = torch.randn(2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)

    def of_signal(y: Tensor) -> Tensor:
        return ll.infer(energy, y=y, over="z", solver=solver, adjoint=ll.solvers.Implicit(tol=1e-12)).value

    assert torch.autograd.gradcheck(of_signal, (y,), rtol=1e-3, atol=1e-5)
    assert torch.autograd.gradgradcheck(of_signal, (y,), rtol=1e-3, atol=1e-4)


def test_compiled_steps_equal_eager_ones() -> None:
    """The one test that compiles. In float32 fused kernels round differently, by about 1e-7 a step over 20 steps."""
    energy = ll.energies.NetworkEnergy(2, hidden=(16, 16))
    start = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    solver = ll.solvers.Langevin(0.01, temperature=0.1, max_steps=22)
    options = {"over": "y", "init": start, "solver": solver, "record": True}
    eager, compiled = (ll.infer(energy, **options, compiled=on) for on in (False, True))
    torch.testing.assert_close(compiled.trajectory, eager.trajectory, rtol=0, atol=1e-4)
    torch.testing.assert_close(compiled.value, eager.value, rtol=0, atol=1e-4)
    torch.testing.assert_close(compiled.energy, eager.energy, rtol=0, atol=1e-4)
