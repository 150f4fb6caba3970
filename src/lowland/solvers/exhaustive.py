"""Exhaustive search over a finite variable."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.rbm import RBM
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Direct, Info, Point, Problem, SolverCase, Support


@register("solver")
class Exhaustive(Direct):
    """u* = the element of a finite domain with the lowest energy, the first if there are several.

    Source: textbook. Over a one-hot z this is the assignment step of K-means. The energy's own `Structure.argmin` or
    `Structure.table` (B, K) is used if there is one, since it is often one matrix product; otherwise elements are
    evaluated in chunks.

    Args:
        max_rows: number of (sample, element) pairs evaluated at once, which bounds memory.

    >>> import lowland as ll
    >>> ll.infer(RBM(2, 3), y=torch.ones(1, 2), over="z", solver=Exhaustive()).value.shape
    torch.Size([1, 3])
    """

    def __init__(self, max_rows: int = 65536) -> None:
        super().__init__()
        if max_rows < 1:
            raise OptionError(f"max_rows must be at least 1, but it is {max_rows}.")
        self.max_rows = max_rows

    def supports(self, problem: Problem) -> Support:
        if problem.structure.table is not None or problem.domain.cardinality is not None:
            return Support(True)
        return Support(False, f"{problem.domain!r} is not finite, or has too many elements to list")

    def step(self, problem: Problem, state: Point, drawn: None) -> tuple[Point, Info]:
        table, argmin = problem.structure.table, problem.structure.argmin
        if argmin is not None:
            index = argmin()[0]
        else:
            index = self._search(problem, len(state.u)) if table is None else table().argmin(dim=1)
        return self.answer(problem, problem.domain.pick(index, state.u.dtype), state.u)

    def _search(self, problem: Problem, batch: int) -> Tensor:
        elements = problem.domain.elements(problem.dtype, problem.device)
        chunks = elements.split(max(1, self.max_rows // batch))
        best = torch.full((batch,), torch.inf, dtype=problem.dtype, device=problem.device)
        index, offset = torch.zeros(batch, dtype=torch.int64, device=problem.device), 0
        for chunk in chunks:
            lowest = problem.candidates(chunk.expand(batch, *chunk.shape)).min(dim=1)
            better = lowest.values < best
            best = torch.where(better, lowest.values, best)
            index = torch.where(better, lowest.indices + offset, index)
            offset += len(chunk)
        return index

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), RBM.reference_case(), tolerance=1e-5)
