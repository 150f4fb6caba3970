"""Amortised inference: the output of the energy's own encoder."""

from __future__ import annotations

from lowland.energies.ellipse import Ellipse
from lowland.registry import register
from lowland.solvers.base import Direct, Info, Point, Problem, SolverCase, Status, Support


@register("solver")
class Amortised(Direct):
    """u = Enc(x, y), the warm start of the energy, for instance from an encoder; nothing is minimised.

    Every other solver starts from the same point unless `init` is given, so "encoder, then k refinement steps" is that
    solver with `max_steps=k`, and k = 0 is this one. With the adjoint `Unroll`, gradients reach the encoder. The status
    of all samples is WARM_START and their residual infinite, since the answer is not checked. Source: Kavukcuoglu,
    Ranzato & LeCun, "Fast inference in sparse coding algorithms" (2008).

    >>> import torch, lowland as ll
    >>> ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=Amortised()).energy.detach()
    tensor([1.])
    """

    @property
    def verdict(self) -> Status:
        return Status.WARM_START

    def exact(self, problem: Problem) -> bool:
        return False

    def supports(self, problem: Problem) -> Support:
        known = problem.structure.warm_start is not None
        return Support(known, "" if known else f"{type(problem.model).__name__} has no encoder for {problem.over}")

    def step(self, problem: Problem, state: Point, drawn: None) -> tuple[Point, Info]:
        warm_start = problem.structure.warm_start
        assert warm_start is not None
        point, told = self.answer(problem, problem.domain.project(warm_start()), state.u)
        return point, told._replace(residual=None)

    @classmethod
    def reference_case(cls) -> SolverCase:
        """The two points of the case lie straight above two of the 64 angles that the ellipse tries."""
        return SolverCase(cls(), Ellipse.reference_case())
