"""How far a solver gets where the minimum is known, such as by the Riccati equation.

Shape letters: B samples, K recorded iterates.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.inference import infer
from lowland.solvers.base import Solver

_LOOKS = 40


class Optimality(NamedTuple):
    """What a solver reached.

    Attributes:
        gap: mean of (E(y) − E*) / E* over the samples.
        distance: the largest |y − y*| of all numbers.
        seconds: processor time.
        steps: of the sample that took most.
        value: y.
        at, gaps: after so many steps, at most 41 and evenly spaced on a logarithmic axis, the mean gap.
    """

    gap: float
    distance: float
    seconds: float
    steps: int
    value: Tensor
    at: list[int]
    gaps: list[float]


@torch.no_grad()
def optimality(
    energy: Energy, x: Any, solver: Solver, least: Tensor, minimiser: Tensor, generator: torch.Generator | None = None
) -> Optimality:
    """Minimise E(x, y) over y by a solver, and compare with the known minimum.

    Args:
        energy: E.
        x: given.
        solver: to judge.
        least: E*, (B,), positive.
        minimiser: y*.
        generator: of the solver's random numbers.

    >>> import lowland as ll
    >>> plan = ll.planning.PlanEnergy.reference_case()
    >>> y = infer(plan.energy, x=plan.given["x"], over="y", solver=ll.solvers.LBFGS()).value
    >>> found = optimality(plan.energy, plan.given["x"], ll.solvers.LBFGS(), plan.energy(x=plan.given["x"], y=y), y)
    >>> abs(found.gap) < 1e-6, found.at[0], len(found.at) == len(found.gaps)
    (True, 1, True)
    """
    began = time.process_time()
    found = infer(energy, x=x, over="y", solver=solver, generator=generator, record=True)
    seconds = time.process_time() - began
    assert found.trajectory is not None
    rows = sorted({round(len(found.trajectory) ** (n / _LOOKS)) - 1 for n in range(_LOOKS + 1)})
    gaps = [relative_gap(energy(x=x, y=found.trajectory[n].reshape(minimiser.shape)), least) for n in rows]
    distance = float((found.value - minimiser).abs().max())
    gap, steps = relative_gap(found.energy, least), int(found.steps.max())
    return Optimality(gap, distance, seconds, steps, found.value, [row + 1 for row in rows], gaps)


def relative_gap(energy: Tensor, least: Tensor) -> float:
    """The mean of (E − E*) / E* over samples (B,)."""
    return float(((energy - least) / least).mean())
