"""Gradient descent with momentum, on request without any step that raises the energy."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase


class Moving(NamedTuple):
    """u (B, D) and its velocity (B, D)."""

    u: Tensor
    velocity: Tensor


class Guarded(NamedTuple):
    """u (B, D) with its energy (B,) and gradient (B, D), the velocity (B, D), and the step size of each row (B, 1)."""

    u: Tensor
    energy: Tensor
    gradient: Tensor
    velocity: Tensor
    step_size: Tensor


_GROWTH, _SHRINK = 1.02, 0.5


@register("solver")
class GradientDescent(Solver):
    """Projected gradient descent: v ← μ v − η ∇E(u), u ← project(u + v) (Polyak 1964).

    With `monotone`, a step that would raise E(u) is not taken: the row stays, loses its velocity, and halves its η.
    After a step that is taken its η grows by 2 %. So the energy never rises, on landscapes of unknown curvature, such
    as learned ones. Sources: Vogl et al., "Accelerating the convergence of the back-propagation method" (1988), for η;
    Du, Mao & Tenenbaum, "Learning iterative reasoning through energy diffusion" (2024), whose inference rejects such
    steps too.

    Args:
        step_size: η, in squared units of u per unit of E. It must be below 2 / L for curvature L (1 / L is safe).
        momentum: μ in [0, 1).
        monotone: take no step that raises the energy, and adapt η for each row.
        max_steps, tol, check_every: see `Solver`.

    Raises:
        OptionError: for a step size that is not positive or a momentum outside [0, 1).

    >>> import lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=GradientDescent(0.05))
    >>> round(found.energy.item(), 4)
    1.0
    """

    def __init__(
        self,
        step_size: float = 0.05,
        momentum: float = 0.0,
        max_steps: int = 500,
        tol: float | None = 1e-4,
        check_every: int = 10,
        monotone: bool = False,
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if not step_size > 0:
            raise OptionError(f"step_size must be positive, but it is {step_size}.")
        if not 0 <= momentum < 1:
            raise OptionError(f"momentum must be in [0, 1), but it is {momentum}.")
        self.step_size, self.momentum, self.monotone = step_size, momentum, monotone

    def init(self, problem: Problem, u: Tensor) -> Moving | Guarded:
        if not self.monotone:
            return Moving(u, torch.zeros_like(u))
        energy, gradient = problem.value_and_gradient(u)
        return Guarded(u, energy, gradient, torch.zeros_like(u), torch.full_like(u[:, :1], self.step_size))

    def step(self, problem: Problem, state: Moving | Guarded, drawn: None) -> tuple[Moving | Guarded, Info]:
        if isinstance(state, Guarded):
            return self._guarded(problem, state)
        energy, gradient = problem.value_and_gradient(state.u)
        velocity = -self.step_size * gradient
        if self.momentum:
            velocity = velocity + self.momentum * state.velocity
        u = problem.domain.project_iterate(state.u + velocity)
        return Moving(u, velocity), Info(energy, problem.residual(state.u, gradient, self.step_size))

    def _guarded(self, problem: Problem, state: Guarded) -> tuple[Guarded, Info]:
        velocity = self.momentum * state.velocity - state.step_size * state.gradient
        u = problem.domain.project_iterate(state.u + velocity)
        energy, gradient = problem.value_and_gradient(u)
        lower = energy <= state.energy  # not where it is NaN
        taken = lower[:, None]
        u, gradient = torch.where(taken, u, state.u), torch.where(taken, gradient, state.gradient)
        velocity = torch.where(taken, velocity, torch.zeros_like(velocity))
        step_size = state.step_size * torch.where(taken, _GROWTH, _SHRINK).to(u.dtype)
        energy = torch.where(lower, energy, state.energy)
        return Guarded(u, energy, gradient, velocity, step_size), Info(energy, problem.residual(u, gradient))

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Ellipse.reference_case())
