"""Block-coordinate minimisation: one solver per free variable, in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.domains import Product
from lowland.energies.base import ReferenceCase
from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Point, Problem, Solver, SolverCase, Status, Support
from lowland.solvers.gradient_descent import GradientDescent
from lowland.solvers.loop import run
from lowland.tensors import PerSampleRNG


class Nested(NamedTuple):
    """The randomness of a solve inside a step: a seed and the sample_ids (B,) of the rows."""

    seed: int
    sample_ids: Tensor


@register("solver")
class Alternation(Solver):
    """z ← argmin_z E(x, y, z), then y ← argmin_y E(x, y, z), repeated, each with its own solver.

    With exact solvers E never increases. One step is one round over all variables in the order of `solvers`; each inner
    solve starts from the last round's value and has its own solver's budget. The status of a sample that no longer
    changes certifies what the inner solvers certify. Source: textbook (block coordinate descent).

    Args:
        solvers: a solver for each free variable, by name.
        max_steps: rounds.
        tol: compared with the largest change of u in a round.
        check_every: see `Solver`.

    Raises:
        OptionError: if no solver is given.

    >>> import lowland as ll
    >>> solver = Alternation({"z": GradientDescent(), "y": GradientDescent()})
    >>> ll.infer(Ellipse(), over=("y", "z"), solver=solver).converged
    tensor([True])
    """

    def __init__(
        self, solvers: Mapping[str, Solver], max_steps: int = 100, tol: float | None = 1e-4, check_every: int = 1
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if not solvers:
            raise OptionError("Alternation needs a solver for each free variable, by name, but none was given.")
        self.solvers = dict(solvers)
        self.stochastic = any(solver.stochastic for solver in self.solvers.values())

    @property
    def verdict(self) -> Status:
        return max(solver.verdict for solver in self.solvers.values())

    def supports(self, problem: Problem) -> Support:
        if set(problem.over) != set(self.solvers) or len(problem.over) < 2:
            return Support(False, f"it has solvers for {sorted(self.solvers)}, but free are {sorted(problem.over)}")
        u = problem.domain.start(problem.batch, problem.dtype, problem.device)
        for name, solver in self.solvers.items():
            support = solver.supports(problem.part(name, u))
            if not support:
                return Support(False, f"{type(solver).__name__} cannot solve for {name}: {support.reason}")
        return Support(True)

    def exact(self, problem: Problem) -> bool:
        """False: each variable is optimal given the others, which need not be a joint optimum even if E is convex."""
        return False

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def draw(self, problem: Problem, noise: PerSampleRNG) -> Nested:
        return Nested(noise.spawn(), noise.sample_ids)

    def step(self, problem: Problem, state: Point, drawn: Nested) -> tuple[Point, Info]:
        assert isinstance(problem.domain, Product)
        noise, u = PerSampleRNG(drawn.seed, drawn.sample_ids, problem.dtype), state.u
        for name, solver in self.solvers.items():
            where = problem.domain.slices[name]
            found = run(problem.part(name, u), solver, u[:, where], noise).u
            u = torch.cat([u[:, : where.start], found, u[:, where.stop :]], dim=1)
        return Point(u), Info(problem.value(u), (u - state.u).abs().amax(dim=1))

    @classmethod
    def reference_case(cls) -> SolverCase:
        """A point off the ellipse and an angle meet on the ellipse, where E = 0."""
        start = torch.tensor([[3.0, 1.0, 1.0]])
        case = ReferenceCase(Ellipse(), {}, ("y", "z"), minimum=torch.zeros(1), start=start)
        return SolverCase(cls({"z": GradientDescent(), "y": GradientDescent()}), case)
