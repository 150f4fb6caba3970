"""The exact minimiser, if the energy knows it."""

from __future__ import annotations

from lowland.energies.rbm import RBM
from lowland.registry import register
from lowland.solvers.base import Direct, Info, Point, Problem, SolverCase, Support


@register("solver")
class ClosedForm(Direct):
    """u* = argmin_u E(u) from the energy's `Structure.minimiser`, in one step from any start.

    Source: textbook; each energy documents its own closed form.

    >>> import torch, lowland as ll
    >>> ll.infer(RBM(2, 3), y=torch.ones(1, 2), over="z", solver=ClosedForm()).status
    tensor([0], dtype=torch.int8)
    """

    def supports(self, problem: Problem) -> Support:
        known = problem.structure.minimiser is not None
        return Support(known, "" if known else f"{type(problem.model).__name__} gives no minimiser in closed form")

    def step(self, problem: Problem, state: Point, drawn: None) -> tuple[Point, Info]:
        minimiser = problem.structure.minimiser
        assert minimiser is not None
        return self.answer(problem, minimiser(), state.u)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), RBM.reference_case(), tolerance=1e-5)
