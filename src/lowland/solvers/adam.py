"""Adam, with separate moment estimates for each sample."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase


class Moments(NamedTuple):
    """u (B, D), running means of the gradient and of its square (B, D), and the number of steps so far (B, 1)."""

    u: Tensor
    first: Tensor
    second: Tensor
    taken: Tensor


@register("solver")
class Adam(Solver):
    """Projected Adam: m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², u ← project(u − η m̂ / (√v̂ + ε)).

    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) (Kingma & Ba 2015, algorithm 1, with its defaults except for η). Each
    coordinate moves by about η per step, whatever the scale of E, and near the minimum still by a fraction of η.

    Args:
        step_size: η, in units of u.
        betas: (β₁, β₂), each in [0, 1).
        epsilon: ε > 0, in units of E per unit of u.
        max_steps, tol, check_every: see `Solver`.

    Raises:
        OptionError: for options outside those ranges.

    >>> import lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=Adam())
    >>> round(found.energy.item(), 4)
    1.0
    """

    def __init__(
        self,
        step_size: float = 0.05,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        max_steps: int = 500,
        tol: float | None = 1e-4,
        check_every: int = 10,
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if not step_size > 0 or not epsilon > 0:
            raise OptionError(f"step_size and epsilon must be positive, but they are {step_size} and {epsilon}.")
        if not all(0 <= beta < 1 for beta in betas):
            raise OptionError(f"betas must be in [0, 1), but they are {betas}.")
        self.step_size, self.betas, self.epsilon = step_size, betas, epsilon

    def init(self, problem: Problem, u: Tensor) -> Moments:
        return Moments(u, torch.zeros_like(u), torch.zeros_like(u), torch.zeros_like(u[:, :1]))

    def step(self, problem: Problem, state: Moments, drawn: None) -> tuple[Moments, Info]:
        energy, gradient = problem.value_and_gradient(state.u)
        slow, slower = self.betas
        count = state.taken + 1
        first = slow * state.first + (1 - slow) * gradient
        second = slower * state.second + (1 - slower) * gradient.square()
        mean, scale = first / (1 - slow**count), torch.sqrt(second / (1 - slower**count))
        u = problem.domain.project_iterate(state.u - self.step_size * mean / (scale + self.epsilon))
        return Moments(u, first, second, count), Info(energy, problem.residual(state.u, gradient, self.step_size))

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Ellipse.reference_case())
