"""Trials of solvers on the ellipse, where a descent that starts on the wrong side ends there."""

from __future__ import annotations

import math

import torch

from lowland.energies import Ellipse
from lowland.evaluation.solver_trial import SolverTrial, supporting_solvers, try_solver
from lowland.solvers import GradientDescent

ENERGY = Ellipse((2.0, 1.0))
Y = torch.tensor([[0.0, 2.0], [0.0, 3.0], [0.0, 1.5], [0.0, 2.5]])


def trial(starts: list[float]) -> SolverTrial:
    """From angles of which 0 is the answer, and π lies in the valley on the other side."""
    draws = (torch.Generator().manual_seed(0), torch.Generator().manual_seed(0))
    minimum = (Y[:, 1] - 1).square()
    return try_solver(ENERGY, GradientDescent(0.1, max_steps=200), Y, minimum, torch.tensor(starts)[:, None], draws)


def test_those_that_start_in_the_right_valley_are_found() -> None:
    found = trial([0.3, -0.2, math.pi, 0.4])
    assert found.found == 0.75
    assert found.guess < 1e-4
    assert found.path[0] > 100 * found.path[-1]


def test_the_path_begins_at_the_starts() -> None:
    starts = [0.3, 0.3, 0.3, 0.3]
    with torch.no_grad():
        first = ENERGY(y=Y, z=torch.tensor(starts)[:, None]) - (Y[:, 1] - 1).square()
    assert trial(starts).path[0] == float(first.median())


def test_solvers_that_cannot_are_left_out() -> None:
    names = list(supporting_solvers(ENERGY, Y))
    assert names == sorted(names)
    assert "GradientDescent" in names
    assert "Exhaustive" not in names
