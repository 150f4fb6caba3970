"""Split Bregman (system V13): least squares with a norm of K u, such as total variation, and a duality gap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.kspace import KSpace
from lowland.energies.structure import Analysis
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support

# The factor by which ρ changes at a time, if it is worth changing.
_LEAST, _MOST = 1.2, 10.0


class Parted(NamedTuple):
    """u (B, D), d and b (B, M), ρ (B, 1), and the steps so far (B, 1), the same for all rows."""

    u: Tensor
    d: Tensor
    b: Tensor
    rho: Tensor
    age: Tensor


@register("solver")
class SplitBregman(Solver):
    """u = argmin f + (ρ/2)‖K u − d + b‖²,   d⁺ = prox_{g/ρ}(r + b),   b⁺ = b + r − d⁺, for E(u) = f(u) + g(K u).

    With r = α K u + (1 − α) d, a least-squares f, and a norm g. Goldstein & Osher, "The split Bregman method for
    L1-regularized problems" (2009), which is the alternating direction method of multipliers for d = K u. The first
    minimum is exact: for total variation and Fourier coefficients, one division at each frequency. Every `check_every`
    steps, in the first half of the budget, ρ of each sample is multiplied by √(p / q), p = ‖K u − d⁺‖ / ‖K u‖ and q =
    ‖d⁺ − d‖ / ‖b⁺‖ (Boyd et al. 2011, section 3.4.1; relative as in Wohlberg 2017).

    The residual is the duality gap, an upper bound on E(u) − min E. Since u is the first argmin, p = ρ (K u − d + b)
    has Kᵀp = −∇f(u), and so s p is feasible for s = min(1, 1 / g°(p)), with g° the dual norm. The gap is

        (1 − s)² f(u) + g(K u) − s ⟨K u, p⟩

    where no term can be negative but by rounding.

    Args:
        rho: initial ρ > 0, in units of E per squared unit of K u.
        relaxation: α in (0, 2).
        max_steps, tol, check_every: see `Solver`; `tol` is the largest gap of a converged sample, in units of E.

    Raises:
        OptionError: for ρ ≤ 0 or α outside (0, 2).

    >>> import lowland as ll
    >>> case = KSpace.reference_case()
    >>> found = ll.infer(case.energy, **case.given, over="y", solver=SplitBregman(tol=1e-5))
    >>> found.status, bool(found.residual <= 1e-5), found.exact
    (tensor([0], dtype=torch.int8), True, tensor([True]))
    """

    def __init__(
        self,
        rho: float = 1.0,
        relaxation: float = 1.8,
        max_steps: int = 1000,
        tol: float | None = 1e-4,
        check_every: int = 10,
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if not rho > 0 or not 0 < relaxation < 2:
            raise OptionError(f"rho must be positive and relaxation in (0, 2), but they are {rho} and {relaxation}.")
        self.rho, self.relaxation = rho, relaxation

    def supports(self, problem: Problem) -> Support:
        known = problem.structure.analysis is not None
        return Support(known, "" if known else "the energy is not given as least squares and a norm of K u")

    def exact(self, problem: Problem) -> bool:
        """The gap bounds how far E is above the global minimum."""
        return True

    def init(self, problem: Problem, u: Tensor) -> Parted:
        d, ones = _known(problem).map(u), torch.ones_like(u[:, :1])
        return Parted(u, d, torch.zeros_like(d), self.rho * ones, 0 * ones.nan_to_num())

    def step(self, problem: Problem, state: Parted, drawn: None) -> tuple[Parted, Info]:
        known, rho, age = _known(problem), state.rho, state.age + 1
        target = state.d - state.b
        u, smooth = known.near(target, rho)
        mapped = known.map(u)
        energy = smooth + known.norm(mapped)
        relaxed = torch.lerp(state.d, mapped, self.relaxation) + state.b
        d = known.prox(relaxed, 1 / rho)
        b = relaxed - d
        taken = int(age[0])
        if taken % self.check_every and taken < self.max_steps:
            return Parted(u, d, b, rho, age), Info(energy, torch.full_like(energy, torch.inf))
        force = rho * (mapped - target)
        share = 1 / known.dual_norm(force).clamp_min(1)
        gap = (1 - share).square() * smooth + known.norm(mapped) - share * (mapped * force).sum(dim=1)
        if 2 * taken <= self.max_steps:
            rho, b = self._balance(rho, b, mapped, mapped - d, d - state.d)
        return Parted(u, d, b, rho, age), Info(energy, gap)

    @torch.no_grad()
    def _balance(self, rho: Tensor, b: Tensor, mapped: Tensor, apart: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """The next ρ, and the b for which the dual variable ρ b stays."""
        primal, lag = (one.norm(dim=1, keepdim=True) * other.norm(dim=1, keepdim=True)
                       for one, other in ((apart, b), (change, mapped)))  # fmt: skip
        factor = (primal / lag).sqrt().clamp(1 / _MOST, _MOST)
        known = (primal > 0) & (lag > 0) & ((factor > _LEAST) | (factor < 1 / _LEAST))
        factor = torch.where(known, factor, 1.0)
        return rho * factor, b / factor

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), KSpace.reference_case(), tolerance=1e-4)


def _known(problem: Problem) -> Analysis:
    assert problem.structure.analysis is not None
    return problem.structure.analysis
