"""Coordinate descent (row S2) for a quadratic with a separable penalty, such as the lasso."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.sparse_coding import SparseCoding
from lowland.registry import register
from lowland.solvers.base import Info, Point, Problem, Solver, SolverCase, Support


@register("solver")
class CoordinateDescent(Solver):
    """Cyclic exact minimisation over one coordinate at a time, for E = ½ uᵀGu − cᵀu + penalty.

        u_j ← prox_{1/G_jj}[(c_j − Σ_{k≠j} G_jk u_k) / G_jj],   j = 1 … D

    One step is one sweep over all coordinates, for all samples at once (Friedman et al. 2007 for the lasso). Without a
    penalty u_j is clipped to its bounds instead.

    Args:
        max_steps, tol, check_every: see `Solver`; the residual is max_j G_jj |change of u_j| over a sweep.

    >>> import lowland as ll
    >>> energy = SparseCoding(n_features=4, n_atoms=8, sparsity=0.1)
    >>> ll.infer(energy, y=torch.ones(2, 4), over="z", solver=CoordinateDescent()).status
    tensor([0, 0], dtype=torch.int8)
    """

    def __init__(self, max_steps: int = 1000, tol: float | None = 1e-5, check_every: int = 5) -> None:
        super().__init__(max_steps, tol, check_every)

    def supports(self, problem: Problem) -> Support:
        structure = problem.structure
        if problem.domain.discrete or problem.domain.bounds is None:
            return Support(False, f"it moves one coordinate at a time, which {problem.domain!r} does not allow")
        if structure.quadratic is None:
            return Support(False, "the smooth part of the energy is not given as a quadratic: use FISTA")
        if structure.penalty is not None and structure.penalty.coordinate is None:
            return Support(False, "the penalty does not split into coordinates: use FISTA")
        return Support(True)

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def step(self, problem: Problem, state: Point, drawn: None) -> tuple[Point, Info]:
        quadratic, penalty = problem.structure.quadratic, problem.structure.penalty
        assert quadratic is not None
        gram, linear = quadratic.gram, quadratic.linear
        diagonal = gram.diagonal().clamp_min(torch.finfo(gram.dtype).tiny)
        product = state.u @ gram - linear
        bounds, columns = problem.domain.bounds, list(state.u.unbind(dim=1))
        for j, before in enumerate(columns):
            target = before - product[:, j] / diagonal[j]
            if penalty is not None and penalty.coordinate is not None:
                columns[j] = penalty.coordinate(target, (1 / diagonal[j]).expand_as(target), j)
            elif bounds is not None:
                columns[j] = target.clamp(*bounds)
            product = torch.addr(product, columns[j] - before, gram[j])
        u = torch.stack(columns, dim=1)
        residual = ((u - state.u).abs() * diagonal).amax(dim=1)
        return Point(u), Info(problem.smooth(u)[0], residual)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), SparseCoding.reference_case(), tolerance=1e-5)
