"""Coordinate descent (system S2) for a quadratic with a separable penalty, such as the lasso."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError, nearest
from lowland.registry import register
from lowland.solvers.base import Info, Point, Problem, Solver, SolverCase, Support

RULES = ("cyclic", "greedy")


@register("solver")
class CoordinateDescent(Solver):
    """Exact minimisation over one coordinate at a time, for E = ½ uᵀGu − cᵀu + penalty.

        u_j ← prox_{1/G_jj}[(c_j − Σ_{k≠j} G_jk u_k) / G_jj],   j = 1 … D

    One step is one sweep, D such moves, for all samples at once (Friedman et al. 2007 for the lasso). Without a penalty
    u_j is clipped to its bounds instead. In each sample the greedy rule moves the coordinate that would move the most
    (Li & Osher 2009): a sparse answer needs few moves, but each costs as much as D cyclic ones on one sample.

    Args:
        rule: "cyclic" or "greedy"; greedy needs an ℓ1 penalty or none.
        max_steps, tol, check_every: see `Solver`; the residual is max_j G_jj |change of u_j| over a sweep.

    >>> import lowland as ll
    >>> energy = SparseCoding(n_features=4, n_atoms=8, sparsity=0.1)
    >>> ll.infer(energy, y=torch.ones(2, 4), over="z", solver=CoordinateDescent()).status
    tensor([0, 0], dtype=torch.int8)
    """

    def __init__(
        self, max_steps: int = 1000, tol: float | None = 1e-5, check_every: int = 5, rule: str = "cyclic"
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if rule not in RULES:
            raise OptionError(f"There is no rule called {rule!r}. {nearest(rule, RULES)}")
        self.rule = rule

    def supports(self, problem: Problem) -> Support:
        structure = problem.structure
        if problem.domain.discrete or problem.domain.bounds is None:
            return Support(False, f"it moves one coordinate at a time, which {problem.domain!r} does not allow")
        if structure.quadratic is None:
            return Support(False, "the smooth part of the energy is not given as a quadratic: use FISTA")
        if structure.penalty is not None and structure.penalty.coordinate is None:
            return Support(False, "the penalty does not split into coordinates: use FISTA")
        if self.rule == "greedy" and structure.penalty is not None and structure.penalty.weights is None:
            return Support(False, "the greedy rule needs the weights of an ℓ1 penalty: use the cyclic one")
        return Support(True)

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def step(self, problem: Problem, state: Point, drawn: None) -> tuple[Point, Info]:
        quadratic = problem.structure.quadratic
        assert quadratic is not None
        diagonal = quadratic.gram.diagonal().clamp_min(torch.finfo(quadratic.gram.dtype).tiny)
        product = state.u @ quadratic.gram - quadratic.linear
        sweep = self._greedy if self.rule == "greedy" else self._cyclic
        u, residual = sweep(problem, state.u, product, quadratic.gram, diagonal)
        return Point(u), Info(problem.smooth(u)[0], residual)

    def _cyclic(
        self, problem: Problem, start: Tensor, product: Tensor, gram: Tensor, diagonal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The u after one move of each coordinate in turn, and the residual; `product` is G u − c."""
        penalty = problem.structure.penalty
        bounds, columns = problem.domain.bounds, list(start.unbind(dim=1))
        for j, before in enumerate(columns):
            target = before - product[:, j] / diagonal[j]
            if penalty is not None and penalty.coordinate is not None:
                columns[j] = penalty.coordinate(target, (1 / diagonal[j]).expand_as(target), j)
            elif bounds is not None:
                columns[j] = target.clamp(*bounds)
            product = torch.addr(product, columns[j] - before, gram[j])
        u = torch.stack(columns, dim=1)
        return u, ((u - start).abs() * diagonal).amax(dim=1)

    def _greedy(
        self, problem: Problem, u: Tensor, product: Tensor, gram: Tensor, diagonal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The u after D moves, each of the coordinate with the largest move, and the largest remaining move."""
        bounds, penalty = problem.domain.bounds, problem.structure.penalty
        assert bounds is not None
        weights = torch.zeros_like(diagonal) if penalty is None or penalty.weights is None else penalty.weights

        def moves(u: Tensor, product: Tensor) -> Tensor:
            target = u - product / diagonal
            return (target.sign() * (target.abs() - weights / diagonal).clamp_min(0)).clamp(*bounds) - u

        for _ in range(problem.size):
            move = moves(u, product)
            j = move.abs().argmax(dim=1, keepdim=True)
            change = move.gather(1, j)
            u, product = u.scatter_add(1, j, change), product + change * gram[j[:, 0]]
        return u, (moves(u, product).abs() * diagonal).amax(dim=1)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), SparseCoding.reference_case(), tolerance=1e-5)
