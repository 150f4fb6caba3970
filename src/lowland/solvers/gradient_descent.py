"""Gradient descent with momentum."""

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


@register("solver")
class GradientDescent(Solver):
    """Projected gradient descent: v ← μ v − η ∇E(u), u ← project(u + v) (Polyak 1964).

    Args:
        step_size: η, in squared units of u per unit of E. It must be below 2 / L for curvature L (1 / L is safe).
        momentum: μ in [0, 1).
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
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if not step_size > 0:
            raise OptionError(f"step_size must be positive, but it is {step_size}.")
        if not 0 <= momentum < 1:
            raise OptionError(f"momentum must be in [0, 1), but it is {momentum}.")
        self.step_size, self.momentum = step_size, momentum

    def init(self, problem: Problem, u: Tensor) -> Moving:
        return Moving(u, torch.zeros_like(u))

    def step(self, problem: Problem, state: Moving, drawn: None) -> tuple[Moving, Info]:
        energy, gradient = problem.value_and_gradient(state.u)
        velocity = -self.step_size * gradient
        if self.momentum:
            velocity = velocity + self.momentum * state.velocity
        u = problem.domain.project_iterate(state.u + velocity)
        return Moving(u, velocity), Info(energy, problem.residual(state.u, gradient, self.step_size))

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Ellipse.reference_case())
