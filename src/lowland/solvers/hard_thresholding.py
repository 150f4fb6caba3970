"""Iterative hard thresholding with conjugate gradients (system S2), for a quadratic with few non-zero coordinates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.hard_sparse_coding import HardSparseCoding
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support
from lowland.solvers.matching_pursuit import bounded_quadratic


class Descent(NamedTuple):
    """u (B, D), the last direction (B, D), and whether it was on the same support (B, 1), as 0 or 1."""

    u: Tensor
    direction: Tensor
    kept: Tensor


@register("solver")
class CGIHT(Solver):
    """u ← H_K(u + α p), where H_K keeps the K largest entries, for E = ½ uᵀGu − cᵀu over ‖u‖₀ ≤ K.

    p is the gradient r = c − Gu, made conjugate to the last direction as long as the support S stays the same, and
    α = r_Sᵀp_S / p_SᵀGp_S is the best step within S (Blanchard, Tanner & Wei 2015, CGIHT restarted). If a step would
    raise E, a plain gradient step of 1/L is taken, which never does. The answer is local: a sample ends where no such
    step changes u.

    Args:
        max_steps, tol, check_every: see `Solver`; the residual is the largest entry of r on S, or L times the change by
            a step of 1/L if that is more.

    >>> import lowland as ll
    >>> energy = HardSparseCoding(n_features=4, n_atoms=8, nonzeros=2)
    >>> found = ll.infer(energy, y=torch.ones(2, 4), over="z", solver=CGIHT())
    >>> (found.value != 0).sum(dim=1)
    tensor([2, 2])
    """

    def __init__(self, max_steps: int = 500, tol: float | None = 1e-5, check_every: int = 10) -> None:
        super().__init__(max_steps, tol, check_every)

    def supports(self, problem: Problem) -> Support:
        return bounded_quadratic(problem)

    def init(self, problem: Problem, u: Tensor) -> Descent:
        return Descent(u, torch.zeros_like(u), torch.zeros_like(u[:, :1]))

    def step(self, problem: Problem, state: Descent, drawn: None) -> tuple[Descent, Info]:
        quadratic = problem.structure.quadratic
        assert quadratic is not None
        gram, tiny = quadratic.gram, torch.finfo(state.u.dtype).tiny
        bound = torch.as_tensor(problem.structure.bound(), dtype=state.u.dtype, device=state.u.device).clamp_min(tiny)
        value, slope = problem.smooth(state.u)
        # Only the first step has an empty support.
        empty = ~(state.u != 0).any(dim=1, keepdim=True)
        on = ((state.u != 0) | (empty & (problem.domain.project(-slope) != 0))).to(slope.dtype)
        left, before = -slope, state.direction * on * state.kept
        image = before @ gram
        curved = (before * image).sum(dim=1, keepdim=True)
        share = torch.where(curved > 0, -(left * on * image).sum(1, keepdim=True) / curved.clamp_min(tiny), 0.0)
        direction = left + share * state.direction * state.kept
        inside = direction * on
        curvature = (inside * (inside @ gram)).sum(dim=1, keepdim=True)
        rate = torch.where(curvature > 0, (left * inside).sum(1, keepdim=True) / curvature.clamp_min(tiny), 1 / bound)
        moved = problem.domain.project(state.u + rate * direction)
        safe = problem.domain.project(state.u + left / bound)
        worse = problem.smooth(moved)[0] > value
        u = torch.where(worse[:, None], safe, moved)
        same = ((u != 0) == (on != 0)).all(dim=1, keepdim=True) & ~worse[:, None]
        residual = torch.maximum((left * on).abs().amax(dim=1), bound * (safe - state.u).abs().amax(dim=1))
        return Descent(u, direction, same.to(u.dtype)), Info(value, residual)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), HardSparseCoding.reference_case(), tolerance=1e-5)
