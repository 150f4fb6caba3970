"""The exact solver for a convex quadratic with an ℓ1 penalty (system S1), with a certificate for each sample."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from lowland.compiled import in_threads, usable
from lowland.energies.sparse_coding import SparseCoding
from lowland.energies.structure import Quadratic
from lowland.errors import DifferentiationError, OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Point, Problem, Solver, SolverCase, Support
from lowland.solvers.loop import run
from lowland.solvers.proximal import FISTA
from lowland.tensors import PerSampleRNG

# Rows whose correlations are in memory at once in float64, and rows per task of a thread.
_HELD, _TAKEN = 4096, 512
# The gap consists of four sums with this relative rounding, of two terms each; the compiled loop uses the same number.
ROUNDING = 8 * torch.finfo(torch.float64).eps


@register("solver")
class ActiveSet(Solver):
    """u* = argmin ½ uᵀGu − cᵀu + k + Σ_j λ_j |u_j|, over all u or over u ≥ 0: the lasso.

    The ridge term of an elastic net is part of G, and each coordinate may have its own λ. For each sample, S is the
    support. The coordinates that violate |c − Gu|_j ≤ λ_j most join S; Newton's method minimises within the orthant of
    their signs, and coordinates that reach 0 leave (the feature-sign search of Lee, Battle, Raina & Ng 2006, where one
    joins at a time). The inverse of G_SS is updated as S changes. The loop is compiled with numba (extra `fast`) and
    uses as many threads as torch. Without numba, or on a device other than the CPU, FISTA finds the same answer.

    `Solution.residual` is the certificate (P(u) − D(θ)) / P(u), which bounds how far P = E is above its minimum,
    relative to E. It is computed in float64, from c and G in float64, at the returned u. A sample has converged if it
    is at most `tol`; otherwise its status is MAX_STEPS and the certificate says how close it came. With g = c − Gu,
    a = 2k − cᵀu and b = a − gᵀu the dual value is s a − ½ s² b at the largest s with s |g_j| ≤ λ_j, or at a / b if that
    is smaller: the residual, scaled until it is feasible (Kim et al. 2007). Both values are differences of sums as
    large as k, so their rounding error is included in the gap.

    Args:
        tol: largest certificate of a converged sample; float32 codes reach about 1e-6.
        active: initial capacity of S; a sample that needs more is solved again with twice the capacity.
        max_rounds: maximum number of rounds in which coordinates join.

    Raises:
        OptionError: if tol is negative, or active or max_rounds is below 1.
        DifferentiationError: under `Unroll`, since there are no steps to unroll; use `Implicit`.

    >>> import lowland as ll
    >>> energy = SparseCoding(n_features=4, n_atoms=8, sparsity=0.1)
    >>> found = ll.infer(energy, y=torch.ones(2, 4), over="z", solver=ActiveSet(tol=1e-5))
    >>> found.status, bool((found.residual <= 1e-5).all())
    (tensor([0, 0], dtype=torch.int8), True)
    """

    direct = True

    def __init__(self, tol: float = 1e-5, active: int = 96, max_rounds: int = 200) -> None:
        super().__init__(max_steps=1, tol=tol, check_every=1)
        if active < 1 or max_rounds < 1:
            raise OptionError(f"active and max_rounds must be at least 1, but they are {active} and {max_rounds}.")
        self.active, self.max_rounds = active, max_rounds

    def exact(self, problem: Problem) -> bool:
        """Its certificate bounds how far E is above the global minimum."""
        return True

    def supports(self, problem: Problem) -> Support:
        structure, bounds = problem.structure, problem.domain.bounds
        if structure.quadratic is None or structure.penalty is None or structure.penalty.weights is None:
            return Support(False, "the energy is not given as a quadratic with an ℓ1 penalty, its weights known")
        if bounds not in ((-math.inf, math.inf), (0.0, math.inf)):
            return Support(False, f"it can keep u ≥ 0, but not {problem.domain!r}")
        if not bool((structure.penalty.weights > 0).all()):
            return Support(False, "a weight of the ℓ1 penalty is not positive, so no solution can be certified")
        return Support(True)

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def step(self, problem: Problem, state: Point, drawn: None) -> tuple[Point, Info]:
        if problem.graph:
            raise DifferentiationError(
                "ActiveSet has no steps to differentiate through: pass adjoint=Implicit(), or a solver that has some, "
                "such as FISTA."
            )
        u, energy, certificate = cast(Any, torch.compiler.disable(self._solve))(problem, state.u)
        return Point(u), Info(energy, certificate)

    @torch.no_grad()
    def _solve(self, problem: Problem, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes (B, D), and their energy and certificate (B,) in float64."""
        exact = problem.double()
        if not usable(start):
            return self._by_proximal(problem, exact, start)
        u, energy = start.clone(), torch.empty(len(start), dtype=torch.float64)
        certificate = torch.full_like(energy, -1)
        for rows in torch.arange(len(u)).split(_HELD):
            part = exact if len(rows) == len(u) else exact.take(rows)
            self._compiled(part, *(tensor[rows[0] : rows[-1] + 1] for tensor in (u, energy, certificate)))
        return u, energy, certificate

    def _compiled(self, problem: Problem, u: Tensor, energy: Tensor, certificate: Tensor) -> None:
        """Write the answer into u, energy and certificate; the certificate is initialised with −1."""
        from lowland.compiled.active_set import solve

        arrays = [tensor.contiguous().numpy() for tensor in (*_quadratic(problem, len(u)), _weights(problem))]
        out, bound, rows = [u.numpy(), energy.numpy(), certificate.numpy()], self.active, torch.arange(len(u))
        while len(rows):
            bound = min(bound, u.shape[1])
            options = (_positive(problem), self.tol or 0.0, bound, self.max_rounds)
            share = -(-len(rows) // torch.get_num_threads())
            chunks = [chunk.numpy() for chunk in rows.split(min(_TAKEN, share))]

            def take(chunk: Any) -> None:
                cast(Any, solve)(*arrays, *options, chunk, *out)  # noqa: B023  all are taken before the loop continues

            in_threads(take, chunks)
            rows, bound = (certificate < 0).nonzero()[:, 0], 2 * bound

    def _by_proximal(self, problem: Problem, exact: Problem, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """FISTA with a decreasing tolerance until the certificate is small enough: first as given, then in float64."""
        least = float(_weights(exact).min())
        energy, certificate = self._certify(exact, u)
        for attempt in range(8):
            rows = (certificate > (self.tol or 0.0)).nonzero()[:, 0]
            if not len(rows):
                break
            part = (problem if attempt < 3 else exact).take(rows)
            solver = FISTA(max_steps=10 * self.max_rounds, tol=least * 0.1 ** (attempt + 1))
            found = run(part, solver, u[rows].to(part.dtype), PerSampleRNG(0, rows, part.dtype)).u
            u = u.index_copy(0, rows, found.to(u.dtype))
            energy, certificate = self._certify(exact, u)
        return u, energy, certificate

    def _certify(self, exact: Problem, u: Tensor) -> tuple[Tensor, Tensor]:
        """The energy and the certificate (B,); see the class."""
        gram, linear, constant = _quadratic(exact, len(u))
        u, weights = u.double(), _weights(exact)
        correlation = linear - u @ gram
        size = correlation if _positive(exact) else correlation.abs()
        inner = 2 * constant - (u * linear).sum(dim=1)
        square = inner - (u * correlation).sum(dim=1)
        energy = 0.5 * square + (u.abs() * weights).sum(dim=1)
        worst = (size / weights).amax(dim=1).clamp_min(0)
        scale = torch.minimum(1 / worst, inner / square).nan_to_num(0.0, posinf=0.0)
        gap = energy - scale * inner + 0.5 * scale.square() * square
        rounding = ROUNDING * (constant + (u * linear).abs().sum(dim=1))
        return energy, (gap.clamp_min(0) + rounding) / energy.clamp_min(torch.finfo(energy.dtype).tiny)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), SparseCoding.reference_case(), tolerance=1e-5)


def _quadratic(problem: Problem, batch: int) -> Quadratic:
    """Expand c and k to one row per sample if all samples share them."""
    assert problem.structure.quadratic is not None
    gram, linear, constant = problem.structure.quadratic
    return Quadratic(gram, linear.expand(batch, -1), constant.expand(batch))


def _weights(problem: Problem) -> Tensor:
    penalty = problem.structure.penalty
    assert penalty is not None
    assert penalty.weights is not None
    return penalty.weights.expand(problem.size)


def _positive(problem: Problem) -> bool:
    return problem.domain.bounds == (0.0, math.inf)
