"""L-BFGS, run separately for each sample, projected onto intervals.

Shape letters: B samples, D size of u, M remembered pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support, continuous

_ARMIJO = 1e-4


class Memory(NamedTuple):
    """u (B, D) with its energy (B,) and gradient (B, D); the last M steps and changes of gradient (B, M, D).

    `scale` (B, 1) is the inverse curvature of the initial H, `stuck` (B,) says that no step lowers the energy.
    """

    u: Tensor
    energy: Tensor
    gradient: Tensor
    steps_BMD: Tensor
    changes_BMD: Tensor
    scale: Tensor
    stuck: Tensor


@register("solver")
class LBFGS(Solver):
    """u ← project(u − t H g), with H from the last M steps (Liu & Nocedal 1989), separately for each sample.

    Coordinates that sit at a bound and are pushed against it are left out of g and of H (the two-metric projection of
    Bertsekas 1982). t halves from 1 until the energy falls by 10⁻⁴ of the decrease predicted by the slope (Armijo), up
    to the rounding of the energy; rows that have found their t wait for the others. If no t does, H is reset.

    Args:
        memory: M.
        max_line_search: values of t tried per step. If E has kinks there is often none that works, and all rows wait
            for the search.
        max_steps, tol, check_every: see `Solver`; the residual is ‖u − project(u − g)‖∞.

    Raises:
        OptionError: if memory or max_line_search is below 1.

    >>> import lowland as ll
    >>> ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=LBFGS()).status
    tensor([0], dtype=torch.int8)
    """

    def __init__(
        self,
        memory: int = 10,
        max_steps: int = 200,
        tol: float | None = 1e-4,
        check_every: int = 2,
        max_line_search: int = 20,
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if min(memory, max_line_search) < 1:
            raise OptionError(
                f"memory and max_line_search must be at least 1, but they are {memory} and {max_line_search}."
            )
        self.memory, self.max_line_search = memory, max_line_search

    def supports(self, problem: Problem) -> Support:
        if not problem.domain.discrete and problem.domain.limits(problem.dtype) is None:
            return Support(False, f"{problem.domain!r} is not an interval in each coordinate: use GradientDescent")
        return continuous(problem)

    def init(self, problem: Problem, u: Tensor) -> Memory:
        energy, gradient = problem.value_and_gradient(u)
        pairs_BMD = u.new_zeros(len(u), self.memory, u.shape[1])
        scale = 1 / gradient.norm(dim=1, keepdim=True).clamp_min(1.0)
        return Memory(u, energy, gradient, pairs_BMD, pairs_BMD, scale, torch.zeros_like(energy, dtype=torch.bool))

    def step(self, problem: Problem, state: Memory, drawn: None) -> tuple[Memory, Info]:
        free = self._free(problem, state.u, state.gradient)
        slope = state.gradient * free
        direction = -self._inverse_hessian(state, slope, free) * free
        cosine = _dot(direction, slope) / (direction.norm(dim=1) * slope.norm(dim=1)).clamp_min(_tiny(slope))[:, None]
        uphill = cosine > -1e-8
        direction = torch.where(uphill | ~torch.isfinite(direction), -state.scale * slope, direction)
        at_rest = problem.residual(state.u, state.gradient) <= (self.tol or 0.0)
        u, energy, gradient, found = self._search(problem, state, direction, at_rest | state.stuck)

        moved, change = u - state.u, gradient - state.gradient
        curvature, squared = _dot(moved, change), _dot(change, change)
        bent = (curvature > 1e-7 * (moved.norm(dim=1) * change.norm(dim=1))[:, None]) & (squared > 0)
        # With negative curvature the pair is useless for H, and the next step starts longer.
        grown = torch.where(found[:, None], 2 * state.scale, state.scale)
        scale = torch.where(bent, curvature / squared.clamp_min(_tiny(u)), grown)
        lost = ~found & ~at_rest
        empty = ~state.steps_BMD.flatten(1).any(dim=1)
        scale = torch.where(lost[:, None], 1e-3 * state.scale, scale)
        steps_BMD = _push(state.steps_BMD, moved, bent, lost)
        changes_BMD = _push(state.changes_BMD, change, bent, lost)
        stuck = state.stuck | (lost & empty & (state.scale[:, 0] < 1e-12))
        after = Memory(u, energy, gradient, steps_BMD, changes_BMD, scale, stuck)
        return after, Info(energy, problem.residual(u, gradient))

    def _free(self, problem: Problem, u: Tensor, gradient: Tensor) -> Tensor:
        limits = problem.domain.limits(u.dtype, u.device) if problem.domain.constrained else None
        if limits is None:
            return torch.ones_like(u)
        held = ((u <= limits[0]) & (gradient > 0)) | ((u >= limits[1]) & (gradient < 0))
        return (~held).to(u.dtype)

    def _inverse_hessian(self, state: Memory, slope: Tensor, free: Tensor) -> Tensor:
        """H g by the two loops of Nocedal (1980), on the free coordinates; pairs without positive curvature are 0."""
        steps_BMD, changes_BMD = state.steps_BMD * free[:, None], state.changes_BMD * free[:, None]
        bend_BM = (steps_BMD * changes_BMD).sum(dim=2)
        square_BM = changes_BMD.square().sum(dim=2)
        good_BM = bend_BM > 1e-7 * steps_BMD.norm(dim=2) * changes_BMD.norm(dim=2)
        good_BM = good_BM & (square_BM > 0)
        rho_BM = torch.where(good_BM, 1 / torch.where(good_BM, bend_BM, 1), 0)
        scale, weights = state.scale, []
        for m in range(self.memory):
            ratio = bend_BM[:, m, None] / square_BM[:, m, None].clamp_min(_tiny(slope))
            scale = torch.where(good_BM[:, m, None], ratio, scale)
        q = slope
        for m in reversed(range(self.memory)):
            weights.append(rho_BM[:, m, None] * (steps_BMD[:, m] * q).sum(dim=1, keepdim=True))
            q = q - weights[-1] * changes_BMD[:, m]
        q = scale * q
        for m in range(self.memory):
            back = rho_BM[:, m, None] * (changes_BMD[:, m] * q).sum(dim=1, keepdim=True)
            q = q + (weights[self.memory - 1 - m] - back) * steps_BMD[:, m]
        return q

    def _search(
        self, problem: Problem, state: Memory, direction: Tensor, waiting: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The point of the first t of 1, ½, ¼ … that passes the test; rows without one stay where they are."""
        u, energy, gradient = state.u, state.energy, state.gradient
        slack = 4 * torch.finfo(u.dtype).eps * energy.abs()
        found, t = torch.zeros_like(waiting), 1.0
        for _ in range(self.max_line_search):
            trial = problem.domain.project_iterate(state.u + t * direction)
            there, gradient_there = problem.value_and_gradient(trial)
            promised = (state.gradient * (trial - state.u)).sum(dim=1)
            good = (there <= state.energy + _ARMIJO * promised + slack) & torch.isfinite(gradient_there).all(dim=1)
            good = good & ~found & ~waiting
            u = torch.where(good[:, None], trial, u)
            energy = torch.where(good, there, energy)
            gradient = torch.where(good[:, None], gradient_there, gradient)
            found, t = found | good, 0.5 * t
            if bool((found | waiting).all()):
                break
        return u, energy, gradient, found

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Ellipse.reference_case(), tolerance=1e-5)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=1, keepdim=True)


def _tiny(tensor: Tensor) -> float:
    return torch.finfo(tensor.dtype).tiny


def _push(pairs_BMD: Tensor, new: Tensor, bent: Tensor, lost: Tensor) -> Tensor:
    """Append the newest pair if its curvature is positive; empty the queue if the search failed."""
    pushed = torch.cat([pairs_BMD[:, 1:], new[:, None]], dim=1)
    return torch.where(lost[:, None, None], torch.zeros_like(pushed), torch.where(bent[:, :, None], pushed, pairs_BMD))
