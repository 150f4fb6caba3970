"""Which solvers suit an energy: each is tried from the energy's own warm start and from anywhere."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.inference import infer
from lowland.registry import registered
from lowland.solvers.base import Solver, bind


class SolverTrial(NamedTuple):
    """How one solver does.

    Attributes:
        steps: median number of steps from anywhere.
        guess: median |E − F| from the warm start of the energy.
        error: median |E − F| from anywhere.
        found: share of the samples whose |E − F| from anywhere is small.
        path: median |E − F| after 0, 1, 2, … steps from anywhere.
    """

    steps: int
    guess: float
    error: float
    found: float
    path: list[float]


def supporting_solvers(energy: Energy, y: Tensor, over: str = "z") -> dict[str, Solver]:
    """All registered solvers that support inference given y, as in their reference cases, in alphabetical order.

    >>> from lowland.energies import KMeans
    >>> sorted(supporting_solvers(KMeans(2, 3), torch.zeros(1, 2)))
    ['Exhaustive', 'Gibbs']
    """
    problem = bind(energy, {"y": y}, over)
    made = {name: cls.reference_case().solver for name, cls in registered("solver").items()}
    return {name: solver for name, solver in made.items() if solver.supports(problem)}


@torch.no_grad()
def try_solver(
    energy: Energy,
    solver: Solver,
    y: Tensor,
    minimum: Tensor,
    starts: Tensor,
    generators: tuple[torch.Generator, torch.Generator],
    close: float = 0.05,
) -> SolverTrial:
    """Infer z by a solver, from the warm start of the energy and from given starts, and compare E with F.

    Args:
        energy: E(y, z).
        solver: with the settings to be tried.
        y: (N, ...).
        minimum: F(y), (N,), from elsewhere.
        starts: (N, ...) of z.
        generators: of the solver's own noise, one for each inference.
        close: |E − F| below which a sample counts as found, in units of E.

    >>> from lowland.energies import PCA
    >>> from lowland.solvers import LBFGS
    >>> energy, y = PCA(3, 1), torch.eye(3)
    >>> minimum, draws = energy(y=y, z=energy.code(y)), (torch.Generator(), torch.Generator())
    >>> try_solver(energy, LBFGS(), y, minimum, torch.ones(3, 1), draws).found
    1.0
    """
    minimum = minimum.to(y)
    guess = infer(energy, y=y, over="z", solver=solver, generator=generators[0])
    free = infer(energy, y=y, over="z", solver=solver, init=starts, generator=generators[1], record=True)
    assert free.trajectory is not None
    path = torch.stack([energy(y=y, z=z) for z in free.trajectory]) - minimum
    error = (free.energy - minimum).abs()
    return SolverTrial(
        steps=int(free.steps.median()),
        guess=(guess.energy - minimum).abs().median().item(),
        error=error.median().item(),
        found=(error < close).double().mean().item(),
        path=path.abs().median(dim=1).values.tolist(),
    )
