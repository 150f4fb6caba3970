"""ISTA and FISTA (systems S1, S2): proximal gradient descent for a smooth energy with a non-smooth penalty."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support, continuous


class Proximal(NamedTuple):
    """u (B, D), the extrapolated point (B, D), FISTA's t (B, 1) and the curvature estimate L (B, 1)."""

    u: Tensor
    ahead: Tensor
    momentum: Tensor
    curvature: Tensor


@register("solver")
class ISTA(Solver):
    """u ← prox_{1/L}(u − (1/L) ∇f(u)) for E = f + penalty: iterative shrinkage (Daubechies et al. 2004).

    L is the energy's own Lipschitz bound if there is one; otherwise it starts at `curvature` and doubles until the
    quadratic model at the point bounds f from above (Beck & Teboulle 2009, equation 3.2), separately for each sample.

    Args:
        curvature: initial L if the energy gives no bound, in units of E per squared unit of u.
        max_steps, tol, check_every: see `Solver`; the residual is L‖u_new − u‖∞, with the initial L if L changes.

    >>> import lowland as ll
    >>> energy = SparseCoding(n_features=4, n_atoms=8, sparsity=0.1)
    >>> ll.infer(energy, y=torch.ones(2, 4), over="z", solver=ISTA(tol=1e-5)).status
    tensor([0, 0], dtype=torch.int8)
    """

    accelerated = False

    def __init__(
        self, max_steps: int = 1000, tol: float | None = 1e-4, curvature: float = 1.0, check_every: int = 10
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if not curvature > 0:
            raise OptionError(f"curvature must be positive, but it is {curvature}.")
        self.curvature = curvature

    def supports(self, problem: Problem) -> Support:
        return continuous(problem, penalty=True)

    def init(self, problem: Problem, u: Tensor) -> Proximal:
        bound = problem.structure.bound()
        curvature = torch.full_like(u[:, :1], self.curvature)
        if bound is not None:
            known = torch.as_tensor(bound, dtype=u.dtype, device=u.device).reshape(-1, 1)
            curvature = torch.zeros_like(u[:, :1]) + known.clamp_min(torch.finfo(u.dtype).tiny)
        return Proximal(u, u, torch.ones_like(u[:, :1]), curvature)

    def _move(self, problem: Problem, point: Tensor, gradient: Tensor, curvature: Tensor) -> Tensor:
        moved, penalty = point - gradient / curvature, problem.structure.penalty
        return problem.domain.project_iterate(moved) if penalty is None else penalty.prox(moved, 1 / curvature)

    def step(self, problem: Problem, state: Proximal, drawn: None) -> tuple[Proximal, Info]:
        curvature, point = state.curvature, state.ahead
        value, gradient = problem.smooth(point)
        u = self._move(problem, point, gradient, curvature)
        if problem.structure.lipschitz is None:
            for _ in range(30):
                gap = u - point
                model = value + (gradient * gap).sum(1) + 0.5 * curvature[:, 0] * gap.square().sum(1)
                slack = 1e-6 * value.abs()
                short = problem.smooth(u)[0] > model + slack
                if not bool(short.any()):
                    break
                curvature = torch.where(short[:, None], 2 * curvature, curvature)
                u = self._move(problem, point, gradient, curvature)
        residual = (curvature * (u - point)).abs().amax(dim=1)
        if problem.structure.lipschitz is None:
            # If rounding lets no step lower E, L grows until u no longer moves; this point is not stationary.
            first = torch.full_like(curvature, self.curvature)
            residual = self.curvature * (self._move(problem, point, gradient, first) - point).abs().amax(dim=1)
        if not self.accelerated:
            return Proximal(u, u, state.momentum, curvature), Info(value, residual)
        t = (1 + torch.sqrt(1 + 4 * state.momentum.square())) / 2
        uphill = ((point - u) * (u - state.u)).sum(dim=1, keepdim=True) > 0
        t = torch.where(uphill, torch.ones_like(t), t)
        ahead = u + torch.where(uphill, torch.zeros_like(t), (state.momentum - 1) / t) * (u - state.u)
        return Proximal(u, ahead, t, curvature), Info(value, residual)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), SparseCoding.reference_case(), tolerance=1e-5)


@register("solver")
class FISTA(ISTA):
    """ISTA with Nesterov's extrapolation (Beck & Teboulle 2009, equations 4.1–4.3).

        u⁺ = prox_{1/L}(v − (1/L) ∇f(v)),   t⁺ = (1 + √(1 + 4t²)) / 2,   v⁺ = u⁺ + (t − 1)/t⁺ (u⁺ − u)

    Restarted, separately for each sample, whenever the step points uphill (O'Donoghue & Candès 2015, gradient scheme).

    >>> import lowland as ll
    >>> energy = SparseCoding(n_features=4, n_atoms=8, sparsity=0.1)
    >>> ll.infer(energy, y=torch.ones(2, 4), over="z", solver=FISTA(tol=1e-5)).status
    tensor([0, 0], dtype=torch.int8)
    """

    accelerated = True
