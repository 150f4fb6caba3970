"""Orthogonal matching pursuit (system S2): one more atom per step, for a quadratic with few non-zero coordinates."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from lowland.compiled import in_threads, usable
from lowland.domains import Sparse
from lowland.energies.hard_sparse_coding import HardSparseCoding
from lowland.energies.structure import Quadratic
from lowland.errors import DifferentiationError, OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Point, Problem, Solver, SolverCase, Support

# Rows whose correlations are in memory at once in float64, and rows per task of a thread.
_HELD, _TAKEN = 4096, 512
# A coordinate may join if at least this fraction of its square is independent of those in S.
_PIVOT = 1e-9
# A residual below this fraction of c is the rounding of a code in single precision.
_ROUNDING = 1e-5


@register("solver")
class OrthogonalMatchingPursuit(Solver):
    """Greedy search for argmin ½ uᵀGu − cᵀu + k over ‖u‖₀ ≤ K, by the coordinate that matches the residual best.

        j = argmax_k |c − Gu|_k / √G_kk,   S ← S ∪ {j},   u_S = G_SS⁻¹ c_S

    Source: Pati, Rezaiifar & Krishnaprasad (1993); by the Gram matrix as in Rubinstein, Zibulevsky & Elad (2008). The
    inverse of G_SS grows by one coordinate at a time, compiled with numba (extra `fast`), or in batches with torch
    without it. K is the domain's bound. A sample with K coordinates has converged to a local answer, the best on its S,
    since the problem is NP-hard. If u ≥ 0, a coordinate whose best value would become negative ends the search; the
    residual is then the largest c − Gu, and the status MAX_STEPS.

    Args:
        error: a sample is done once E ≤ error, so that each uses only as many atoms as needed; in units of E. For noise
            of standard deviation σ in n coordinates, error = ½ n (1.15 σ)² (Elad & Aharon 2006).

    Raises:
        OptionError: if error is negative.
        DifferentiationError: under `Unroll`, since there are no steps to unroll.

    >>> import lowland as ll
    >>> energy = HardSparseCoding(n_features=4, n_atoms=8, nonzeros=2)
    >>> found = ll.infer(energy, y=torch.ones(2, 4), over="z", solver=OrthogonalMatchingPursuit())
    >>> (found.value != 0).sum(dim=1)
    tensor([2, 2])
    """

    direct = True

    def __init__(self, error: float = 0.0) -> None:
        super().__init__(max_steps=1, tol=0.0, check_every=1)
        if not error >= 0:
            raise OptionError(f"error must be a number of at least 0, but it is {error}.")
        self.error = error

    def supports(self, problem: Problem) -> Support:
        return bounded_quadratic(problem)

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def step(self, problem: Problem, state: Point, drawn: None) -> tuple[Point, Info]:
        if problem.graph:
            raise DifferentiationError("OrthogonalMatchingPursuit has no steps to differentiate through.")
        u, energy, left = cast(Any, torch.compiler.disable(self._solve))(problem, state.u)
        return Point(u), Info(energy, left)

    @torch.no_grad()
    def _solve(self, problem: Problem, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        exact = problem.double()
        u, energy = torch.zeros_like(start), torch.empty(len(start), dtype=torch.float64, device=start.device)
        left = torch.zeros_like(energy)
        for rows in torch.arange(len(u), device=u.device).split(_HELD):
            part = exact if len(rows) == len(u) else exact.take(rows)
            u[rows], energy[rows] = (self._compiled if usable(start) else self._batched)(part, u[rows])
            left[rows] = self._left(part, u[rows], energy[rows])
        return u, energy, left

    def _left(self, problem: Problem, u: Tensor, energy: Tensor) -> Tensor:
        """(B,) the largest entry of c − Gu outside S if another coordinate could join and lower E; else 0."""
        gram, linear, _ = _quadratic(problem)
        short = ((u != 0).sum(dim=1) < _bound(problem)) & (energy > self.error)
        found, rows = torch.zeros_like(energy), short.nonzero()[:, 0]
        if len(rows):
            c = linear[rows]
            slope = (c - u[rows].double() @ gram).masked_fill(u[rows] != 0, 0.0)
            most = (slope if _positive(problem) else slope.abs()).amax(dim=1).clamp_min(0)
            found[rows] = torch.where(most > _ROUNDING * c.abs().amax(dim=1), most, 0.0)
        return found

    def _compiled(self, problem: Problem, u: Tensor) -> tuple[Tensor, Tensor]:
        from lowland.compiled.matching_pursuit import pursue

        gram, linear, constant = (tensor.contiguous() for tensor in _quadratic(problem))
        energy, options = torch.empty_like(constant), (_positive(problem), _bound(problem), self.error)
        arrays = (gram.numpy(), linear.numpy(), constant.numpy())

        def take(chunk: Any) -> None:
            cast(Any, pursue)(*arrays, *options, chunk, u.numpy(), energy.numpy())

        in_threads(take, [chunk.numpy() for chunk in torch.arange(len(u)).split(_TAKEN)])
        return u, energy

    def _batched(self, problem: Problem, u: Tensor) -> tuple[Tensor, Tensor]:
        """The same, one atom at a time for all samples; unused slots hold the identity."""
        gram, linear, constant = _quadratic(problem)
        u, energy, scale = u.double(), constant.clone(), gram.diagonal().clamp_min(torch.finfo(gram.dtype).tiny).rsqrt()
        places = torch.zeros(len(u), _bound(problem), dtype=torch.int64, device=u.device)
        taken = torch.zeros_like(places, dtype=torch.bool)
        going = energy > self.error
        for step in range(places.shape[1]):
            left = (linear - u @ gram) * scale
            left = left if _positive(problem) else left.abs()
            best = left.scatter(1, places, left.gather(1, places).masked_fill(taken, -torch.inf)).max(dim=1)
            going = going & (best.values > 0)
            if not bool(going.any()):
                break
            places[:, step], taken[:, step] = best.indices, going
            block = gram[places[:, : step + 1, None], places[:, None, : step + 1]]
            own = taken[:, : step + 1]
            eye = torch.eye(step + 1, dtype=gram.dtype, device=gram.device)
            block = torch.where(own[:, :, None] & own[:, None, :], block, eye)
            factor, failed = torch.linalg.cholesky_ex(block)
            pivot = factor[:, -1, -1].square()
            fine = (failed == 0) & (pivot >= _PIVOT * gram.diagonal()[best.indices])
            right = linear.gather(1, places[:, : step + 1]) * own
            code = torch.cholesky_solve(right[:, :, None], torch.where(fine[:, None, None], factor, eye))[:, :, 0]
            fine = fine & ((code >= 0).all(dim=1) | (not _positive(problem)))
            going, taken[:, step] = going & fine, going & fine
            moved = torch.zeros_like(u).scatter_add(1, places[:, : step + 1], code * own)
            u = torch.where(going[:, None], moved, u)
            energy = torch.where(going, constant - 0.5 * (code * right).sum(dim=1), energy)
            going = going & (energy > self.error)
        return u, energy

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), HardSparseCoding.reference_case(), tolerance=1e-5)


def bounded_quadratic(problem: Problem) -> Support:
    """The check shared by solvers with a bound on the number of coordinates."""
    if not isinstance(problem.domain, Sparse):
        return Support(False, f"it bounds the number of coordinates, which {problem.domain!r} does not")
    if problem.structure.quadratic is None or problem.structure.penalty is not None:
        return Support(False, "the energy is not given as a quadratic without a penalty")
    return Support(True)


def _quadratic(problem: Problem) -> Quadratic:
    assert problem.structure.quadratic is not None
    return problem.structure.quadratic


def _bound(problem: Problem) -> int:
    assert isinstance(problem.domain, Sparse)
    return problem.domain.nonzeros


def _positive(problem: Problem) -> bool:
    assert isinstance(problem.domain, Sparse)
    return problem.domain.positive
