"""Gradient descent that takes no step that raises the energy."""

from __future__ import annotations

import torch

import lowland as ll
from lowland.domains import Reals


class _Quartic(ll.energies.Energy):
    """E(y) = Σ y⁴ − y²: too steep for a step of 1 far from its minima at ±1/√2."""

    def __init__(self) -> None:
        super().__init__(y=Reals(2))

    def energy(self, x, y, z):
        return (y**4 - y**2).sum(dim=1)


START = torch.tensor([[3.0, -2.0], [0.1, 0.5]])


def test_the_energy_never_rises_where_plain_descent_diverges() -> None:
    energy = _Quartic()
    options = {"step_size": 1.0, "momentum": 0.9, "max_steps": 200, "tol": None}
    plain = ll.infer(energy, y=None, over="y", solver=ll.solvers.GradientDescent(**options), init=START[:1])
    assert int(plain.status) == ll.Status.NON_FINITE
    found = ll.infer(
        energy, over="y", solver=ll.solvers.GradientDescent(**options, monotone=True), init=START[:1], record=True
    )
    assert found.trajectory is not None
    values = torch.stack([energy(y=point) for point in found.trajectory])
    assert bool((values[1:] <= values[:-1]).all())
    torch.testing.assert_close(found.value.abs(), torch.full((1, 2), 0.5**0.5), rtol=0, atol=1e-3)


def test_a_row_ends_where_it_would_alone() -> None:
    bowl, x = ll.energies.FactorGraph.reference_case().energy, torch.randn(3, 12)
    solver = ll.solvers.GradientDescent(3.0, momentum=0.5, max_steps=37, tol=None, monotone=True)
    together = ll.infer(bowl, x=x, over="y", solver=solver, init=torch.zeros(3, 3)).value
    alone = [ll.infer(bowl, x=x[i : i + 1], over="y", solver=solver, init=torch.zeros(1, 3)).value for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_it_converges_to_the_same_minimum_as_without() -> None:
    case = ll.energies.Ellipse.reference_case()
    for monotone in (False, True):
        solver = ll.solvers.GradientDescent(monotone=monotone)
        found = ll.infer(case.energy, **case.given, over=case.over, solver=solver)
        torch.testing.assert_close(found.energy, case.minimum, rtol=0, atol=1e-3)
        assert bool(found.converged.all())
