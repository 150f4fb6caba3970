"""The result of each solver on the reference case of each energy, compared with the known minimum."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.inference import Solution, infer
from lowland.registry import registered
from lowland.solvers.base import Status, bind
from lowland.tensors import PerSampleRNG

# A start closer than this to the minimum, relative to it if it exceeds 1, would not test a solver.
_THERE = 1e-2


class End(NamedTuple):
    """The result of one solver on one energy.

    `excess` (B,) is E minus the known minimum, negative if the solver found a lower value, and `tolerance` is what the
    solver's own reference case allows; both are relative to the minimum if it exceeds 1.
    """

    solver: str
    found: Solution
    excess: Tensor
    tolerance: float

    @property
    def exact(self) -> bool:
        """Whether all samples are certified to be at the minimum."""
        return bool(self.found.exact.all())

    @property
    def reached(self) -> bool:
        """Whether all samples are at the minimum, certified or not."""
        return bool((self.excess.abs() <= self.tolerance).all())

    def __str__(self) -> str:
        """The solver, with the largest excess and the status of that sample."""
        highest = int(self.excess.nan_to_num(torch.inf).argmax())
        return f"{self.solver} {float(self.excess[highest]):.2g} ({Status(int(self.found.status[highest])).name})"


def ends(energy: str) -> list[End]:
    """The results of all registered solvers that support the reference case of an energy.

    They start where the case says, or else where `infer` does, or at random if that would already be the answer.
    Samplers are left out, since they do not converge to a point. Empty if the energy states no minimum.

    >>> " ".join(end.solver for end in ends("RBM") if end.exact)
    'ClosedForm Exhaustive'
    """
    case, found = registered("energy")[energy].reference_case(), []
    if case.minimum is None:
        return []
    with torch.no_grad():
        problem = bind(case.energy, case.given, case.over)
        idle = problem.value(problem.domain.start(problem.batch, problem.dtype))
    start = case.start
    if start is None and bool((idle - case.minimum <= _THERE * case.minimum.abs().clamp_min(1)).all()):
        noise = PerSampleRNG(0, torch.arange(problem.batch), problem.dtype)
        start = problem.domain.project(noise.normal(problem.size))
    init = None if start is None else problem.domain.unpack(start.to(problem.dtype))
    for name, cls in registered("solver").items():
        solver, _, tolerance = cls.reference_case()
        if solver.tol is None or not solver.supports(problem):
            continue
        end = infer(case.energy, **case.given, over=case.over, solver=solver, init=init)
        excess = (end.energy.detach() - case.minimum) / case.minimum.abs().clamp_min(1)
        found.append(End(name, end, excess, tolerance))
    return found


def minima_markdown() -> str:
    """A table of all energies: which solvers certify the minimum of the reference case, reach it, or end above it."""
    rows = ["| energy | certified | at the minimum | above it |", "|---|---|---|---|"]
    for energy in registered("energy"):
        known = ends(energy)
        cells = [
            ", ".join(end.solver for end in known if end.exact),
            ", ".join(end.solver for end in known if end.reached and not end.exact),
            ", ".join(str(end) for end in known if not end.reached),
        ]
        if known:
            rows.append(f"| {energy} | {' | '.join(cell or '–' for cell in cells)} |")
    return "\n".join(rows)
