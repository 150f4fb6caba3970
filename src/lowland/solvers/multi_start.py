"""Several starts per sample, for energies with several minima."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import DomainError, OptionError, check_instance
from lowland.registry import register
from lowland.solvers.base import Info, Point, Problem, Solver, SolverCase, Status, Support
from lowland.solvers.gradient_descent import GradientDescent
from lowland.solvers.loop import run
from lowland.tensors import PerSampleRNG


class Starts(NamedTuple):
    """Points (B, N − 1, D), or displacements from the start if `relative`, and the random streams of the solves."""

    points: Tensor
    relative: bool
    seed: int
    sample_ids: Tensor


@register("solver")
class MultiStart(Solver):
    """u* = the lowest-energy result of a solver from N starts, for each sample. Source: textbook.

    The first start is the one that `infer` would use anyway; the others are uniform on a bounded domain, and normal
    around the first on an unbounded one. One step is the whole search: `steps` counts 1, and status and residual are
    those of the run that was kept.

    Args:
        solver: the solver, with its own budget and tolerance.
        starts: N ≥ 2.
        spread: standard deviation of starts on an unbounded domain, in units of u.

    Raises:
        OptionError: if starts is below 2 or the spread is not positive.

    >>> import lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[0.1, 0.0]]), over="z", solver=MultiStart(GradientDescent()))
    >>> round(found.energy.item(), 3)
    0.997
    """

    def __init__(self, solver: Solver, starts: int = 8, spread: float = 1.0) -> None:
        check_instance(solver, Solver, "solver")
        super().__init__(max_steps=1, tol=solver.tol, check_every=1)
        if starts < 2 or not spread > 0:
            raise OptionError(f"starts must be at least 2 and spread positive, but they are {starts} and {spread}.")
        self.solver, self.starts, self.spread = solver, starts, spread
        self.stochastic = True

    @property
    def verdict(self) -> Status:
        return self.solver.verdict

    def exact(self, problem: Problem) -> bool:
        return self.solver.exact(problem)

    def supports(self, problem: Problem) -> Support:
        support = self.solver.supports(problem)
        return support if support else Support(False, f"{type(self.solver).__name__} cannot: {support.reason}")

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def draw(self, problem: Problem, noise: PerSampleRNG) -> Starts:
        relative = False
        try:
            points = problem.domain.sample(noise, self.starts - 1)
        except DomainError:
            points, relative = self.spread * noise.normal(self.starts - 1, problem.size), True
        return Starts(points, relative, noise.spawn(), noise.sample_ids)

    def step(self, problem: Problem, state: Point, drawn: Starts) -> tuple[Point, Info]:
        batch, count = len(state.u), self.starts
        others = state.u[:, None] + drawn.points if drawn.relative else drawn.points
        starts = problem.domain.project(torch.cat([state.u[:, None], others], dim=1).flatten(0, 1))
        many = problem.repeat(count)
        sample_ids = drawn.sample_ids.repeat_interleave(count) * count
        sample_ids = sample_ids + torch.arange(count, device=sample_ids.device).repeat(batch)
        trace = run(many, self.solver, starts, PerSampleRNG(drawn.seed, sample_ids, problem.dtype))
        energies = many.value(trace.u).reshape(batch, count)
        best = torch.where(torch.isfinite(energies), energies, torch.inf).argmin(dim=1)
        rows = torch.arange(batch, device=best.device) * count + best
        return Point(trace.u[rows]), Info(energies.flatten()[rows], trace.residual[rows])

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(GradientDescent()), Ellipse.reference_case())
