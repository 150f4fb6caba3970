"""Langevin dynamics: noisy gradient descent that samples from exp(−E / T), with or without a Metropolis test."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support, continuous
from lowland.tensors import PerSampleRNG


class Walk(NamedTuple):
    """u (B, D), with E (B,) and its gradient (B, D) at u if the next step can reuse them."""

    u: Tensor
    energy: Tensor | None
    gradient: Tensor | None


@register("solver")
class Langevin(Solver):
    """u ← u − η ∇E(u) + √(2 η T) ξ, ξ ∼ N(0, I): the unadjusted Langevin algorithm (ULA).

    On E = ½ uᵀ P u at T = 1 its samples have covariance (P (I − η P / 2))⁻¹ instead of P⁻¹. With `metropolis` each
    proposal undergoes a Metropolis-Hastings test, which makes sampling exact: MALA (Roberts & Tweedie 1996). At the
    bounds of a box or of the non-negative numbers ULA reflects, and MALA rejects proposals outside. On a sphere or
    simplex ULA projects, which only approximates the density.

    Args:
        step_size: η, in squared units of u per unit of E. (Many papers write ε²/2 for this η.)
        temperature: T ≥ 0, in units of E; 0 is gradient descent.
        metropolis: MALA instead of ULA; the acceptance rate is `Solution.accepted`.
        max_steps: length of the chain.
        check_every: see `Solver`; checks only look for non-finite numbers.

    >>> import lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=Langevin(temperature=0.01))
    >>> found.value.shape
    torch.Size([1, 1])
    """

    stochastic = True

    def __init__(
        self,
        step_size: float = 0.01,
        temperature: float = 1.0,
        metropolis: bool = False,
        max_steps: int = 100,
        check_every: int = 10,
    ) -> None:
        super().__init__(max_steps, None, check_every)
        if not step_size > 0:
            raise OptionError(f"step_size must be positive, but it is {step_size}.")
        if not temperature >= 0 or (metropolis and temperature == 0):
            wanted = "positive for a Metropolis test" if metropolis else "at least 0"
            raise OptionError(f"temperature must be {wanted}, but it is {temperature}.")
        self.step_size, self.temperature, self.metropolis = step_size, temperature, metropolis
        self._spread = math.sqrt(2 * step_size * temperature)

    def supports(self, problem: Problem) -> Support:
        if self.metropolis and not problem.domain.discrete and problem.domain.limits(problem.dtype) is None:
            return Support(False, f"its proposals leave {problem.domain!r}: use metropolis=False")
        return continuous(problem, penalty=True)

    def init(self, problem: Problem, u: Tensor) -> Walk:
        return Walk(u, *problem.value_and_gradient(u)) if self.metropolis else Walk(u, None, None)

    def draw(self, problem: Problem, noise: PerSampleRNG) -> tuple[Tensor, Tensor | None]:
        return noise.normal(problem.size), noise.uniform() if self.metropolis else None

    def step(self, problem: Problem, state: Walk, drawn: tuple[Tensor, Tensor | None]) -> tuple[Walk, Info]:
        normal, uniform = drawn
        if state.energy is not None and state.gradient is not None and uniform is not None:
            return self._tested(problem, state.u, state.energy, state.gradient, normal, uniform)
        energy, gradient = problem.value_and_gradient(state.u)
        # Not torch.add with alpha=−η: torch 2.13 drops α when it compiles a tensor plus α times a matrix product.
        u = torch.add(state.u, normal, alpha=self._spread).sub(gradient, alpha=self.step_size)
        if problem.domain.constrained:
            interval = problem.domain.limits(u.dtype) is not None
            u = problem.domain.reflect(u)[0] if interval else problem.domain.project_iterate(u)
        return Walk(u, None, None), Info(energy, None)

    def _tested(
        self, problem: Problem, u: Tensor, energy: Tensor, gradient: Tensor, normal: Tensor, uniform: Tensor
    ) -> tuple[Walk, Info]:
        proposal = u - self.step_size * gradient + self._spread * normal
        outside = (problem.domain.project_iterate(proposal) != proposal).any(dim=1)
        energy_there, gradient_there = problem.value_and_gradient(proposal)
        back = u - proposal + self.step_size * gradient_there
        backward = back.square().sum(dim=1) / (2 * self._spread**2)
        forward = 0.5 * normal.square().sum(dim=1)
        log_ratio = (energy - energy_there) / self.temperature + forward - backward
        return accept(u, energy, gradient, proposal, energy_there, gradient_there, log_ratio, uniform, outside)

    @classmethod
    def reference_case(cls) -> SolverCase:
        """At this low temperature the chain stays within √T of the minimum."""
        return SolverCase(cls(step_size=0.05, temperature=1e-6, max_steps=500), Ellipse.reference_case())


def accept(
    u: Tensor, energy: Tensor, gradient: Tensor, proposal: Tensor, energy_there: Tensor, gradient_there: Tensor,
    log_ratio: Tensor, uniform: Tensor, outside: Tensor | None = None,
) -> tuple[Walk, Info]:  # fmt: skip
    """The Metropolis test per row: accept with probability min(1, e^{log_ratio}), and never if not finite."""
    accepted = torch.log(uniform) < log_ratio
    if outside is not None:
        accepted = accepted & ~outside
    u = torch.where(accepted[:, None], proposal, u)
    energy = torch.where(accepted, energy_there, energy)
    gradient = torch.where(accepted[:, None], gradient_there, gradient)
    return Walk(u, energy, gradient), Info(energy, None, accepted.to(u.dtype))
