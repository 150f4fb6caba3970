"""ADMM (system S9): operator splitting, for a smooth part whose proximal operator is known."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from lowland.compiled import in_threads, usable
from lowland.energies.sparse_coding import SparseCoding
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support

# The factor by which ρ changes stays between these two. Balancing at p = 1.5 d needs the fewest steps for convolutional
# # sparse coding of photographs: p = d needs a tenth more below a gap of 1e-4, and p = 2 d a tenth more above it.
_LEAST, _MOST, _TARGET = 1.2, 10.0, 1.5


class Split(NamedTuple):
    """u = prox_{g/ρ}(w), w and 2u − w, all (B, D), ρ (B, 1), and the steps so far (B, 1), the same for all rows."""

    u: Tensor
    w: Tensor
    ahead: Tensor
    rho: Tensor
    age: Tensor


@register("solver")
class ADMM(Solver):
    """x = argmin f + (ρ/2)‖· − (2u − w)‖²,   w ← w + α (x − u),   u = prox_{g/ρ}(w), for E = f + g with a penalty g.

    The alternating direction method of multipliers with over-relaxation α, with ρ (w − u) as the scaled dual variable
    (Boyd et al. 2011, section 3; in this form Eckstein & Bertsekas 1992). The first minimum is exact: in the Fourier
    domain for convolutional sparse coding (Wohlberg 2016), by the eigenvectors of G for a quadratic. Every
    `check_every` steps, in the first half of the budget, the ρ of each sample is multiplied by √(p / 1.5 d), where
    p = ‖x − u‖ / ‖u⁺‖ and d = ‖u⁺ − u‖ / ‖w − u‖ (Boyd et al. 2011, section 3.4.1; relative as in Wohlberg 2017), which
    balances primal and dual residual.

    The residual is an upper bound on the largest entry of the smallest subgradient of E at u⁺: (L + ρ)
    ‖u⁺ − x‖∞ + (2 − α) ρ ‖x − u‖∞, with L the bound on the curvature of f. It is computed only at the steps at which
    the loop checks it.

    Args:
        rho: initial ρ > 0, in units of E per squared unit of u; with unit-norm atoms the curvature is of order 1.
        relaxation: α in (0, 2).
        adaptive: whether ρ is adapted.
        max_steps, tol, check_every: see `Solver`.

    Raises:
        OptionError: for ρ ≤ 0 or α outside (0, 2).

    >>> import lowland as ll
    >>> energy = SparseCoding(n_features=4, n_atoms=8, sparsity=0.1)
    >>> ll.infer(energy, y=torch.ones(2, 4), over="z", solver=ADMM(tol=1e-5)).status
    tensor([0, 0], dtype=torch.int8)
    """

    def __init__(
        self,
        rho: float = 1.0,
        relaxation: float = 1.9,
        adaptive: bool = True,
        max_steps: int = 1000,
        tol: float | None = 1e-4,
        check_every: int = 10,
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if not rho > 0 or not 0 < relaxation < 2:
            raise OptionError(f"rho must be positive and relaxation in (0, 2), but they are {rho} and {relaxation}.")
        self.rho, self.relaxation, self.adaptive = rho, relaxation, adaptive

    def supports(self, problem: Problem) -> Support:
        known = problem.structure
        if known.penalty is None:
            return Support(False, "it splits a penalty from a smooth part, but the energy has no penalty")
        if known.quadratic is None and known.smooth_prox is None:
            return Support(False, "the exact minimiser of the smooth part near a point is not known: use FISTA")
        if known.smooth_prox is None and not known.convex and not self._positive(known):
            return Support(False, "the smooth part is not convex, so the splitting may diverge: use FISTA")
        return Support(True)

    def _positive(self, known: Structure) -> bool:
        """Whether G has no negative eigenvalue, up to rounding."""
        assert known.quadratic is not None
        values = torch.linalg.eigvalsh(known.quadratic.gram.detach())
        return bool(values[0] >= -len(values) * torch.finfo(values.dtype).eps * values.abs().amax())

    def init(self, problem: Problem, u: Tensor) -> Split:
        """Choose w so that u is its prox, with the dual variable as close to −∇f(u) as the penalty allows."""
        penalty, rho = problem.structure.penalty, torch.full_like(u[:, :1], self.rho)
        assert penalty is not None
        moved = u - problem.smooth(u)[1] / rho
        w = u + moved - penalty.prox(moved, 1 / rho)
        u = penalty.prox(w, 1 / rho)
        return Split(u, w, 2 * u - w, rho, torch.zeros_like(rho))

    def step(self, problem: Problem, state: Split, drawn: None) -> tuple[Split, Info]:
        rho, age = state.rho, state.age + 1
        way, value = problem.smooth_prox(state.ahead, rho)
        taken = int(age[0])
        balancing = self.adaptive and 2 * taken <= self.max_steps
        # The residual costs half a step, so it is computed only if the loop checks it.
        asked = balancing or self.tol is not None
        looked = taken == self.max_steps or (asked and taken % self.check_every == 0)
        # x − u, since x = 2u − w + way; kept only for the residual.
        moved = way - (state.w - state.u) if looked else None
        u, w, ahead = self._relax(problem, state, way)
        if moved is None:
            return Split(u, w, ahead, rho, age), Info(value, torch.full_like(value, torch.inf))
        change = u - state.u
        residual = self._residual(problem, rho, change - moved, moved)
        if balancing:
            rho, w = self._balance(rho, u, w, moved, change)
            ahead = 2 * u - w
        return Split(u, w, ahead, rho, age), Info(value, residual)

    def _relax(self, problem: Problem, state: Split, way: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The next u, w and 2u − w, in one pass if the penalty is λ‖u‖₁; this overwrites `way`, from 2u − w to x.

        For large codes each pass and each new tensor takes noticeable time.
        """
        penalty, weights = problem.structure.penalty, None
        assert penalty is not None
        known = not (problem.graph or problem.compiling) and usable(way, state.w)
        if known and penalty.weights is not None and len(penalty.weights) == 1 and len(way) == 1:
            weights = penalty.weights
        if weights is None or problem.domain.bounds not in ((-math.inf, math.inf), (0.0, math.inf)):
            w = torch.add(state.w, way - (state.w - state.u), alpha=self.relaxation)
            u = penalty.prox(w, 1 / state.rho)
            return u, w, 2 * u - w
        from lowland.compiled.shrinkage import relax

        u, w, ahead = torch.empty_like(way), way, torch.empty_like(way)
        kind, most = way.numpy().dtype.type, float(weights / state.rho)
        least = -most if problem.domain.bounds[0] < 0 else -math.inf
        numbers = (kind(self.relaxation), kind(least), kind(most))
        vectors = [part[0].tensor_split(torch.get_num_threads()) for part in (way, state.w, u, w, ahead)]

        def take(pieces: tuple[Tensor, ...]) -> None:
            cast(Any, relax)(*(piece.numpy() for piece in pieces), *numbers)

        in_threads(take, zip(*vectors, strict=True))
        return u, w, ahead

    def _residual(self, problem: Problem, rho: Tensor, behind: Tensor, moved: Tensor) -> Tensor:
        """∂E(u⁺) contains ∇f(u⁺) − ∇f(x) − ρ (u⁺ − x) − (2 − α) ρ (x − u), by the optimality of x and of u⁺."""
        curvature = problem.structure.bound()
        assert curvature is not None
        known = torch.as_tensor(curvature, dtype=rho.dtype, device=rho.device).reshape(-1)
        slack = (2 - self.relaxation) * rho[:, 0] * moved.abs().amax(dim=1)
        return (known + rho[:, 0]) * behind.abs().amax(dim=1) + slack

    @torch.no_grad()
    def _balance(self, rho: Tensor, u: Tensor, w: Tensor, moved: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """The next ρ, and the w for which neither u nor the dual variable ρ (w − u) changes."""
        dual = w - u
        apart, lag, size, price = (part.norm(dim=1, keepdim=True) for part in (moved, change, u, dual))
        primal, lag = apart * price, lag * size
        factor = (primal / lag / _TARGET).sqrt().clamp(1 / _MOST, _MOST)
        known = (primal > 0) & (lag > 0) & ((factor > _LEAST) | (factor < 1 / _LEAST))
        if not bool(known.any()):
            return rho, w
        factor = torch.where(known, factor, 1.0)
        return rho * factor, u + dual / factor

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), SparseCoding.reference_case(), tolerance=1e-5)
