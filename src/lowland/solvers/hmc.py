"""Hamiltonian Monte Carlo."""

from __future__ import annotations

import math

from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support, continuous
from lowland.solvers.langevin import Walk, accept
from lowland.tensors import PerSampleRNG


@register("solver")
class HMC(Solver):
    """Leapfrog steps of H(u, p) = E(u) + ½‖p‖² from p ∼ N(0, T I), then a Metropolis test on H for each sample.

        p ← p − (ε/2) ∇E(u);  u ← u + ε p;  p ← p − (ε/2) ∇E(u)      (`n_leapfrog` times)

    Samples exp(−E / T) exactly (Duane et al. 1987; Neal 2011, section 5.2). At the bounds of a box or of the
    non-negative numbers u is reflected and p changes sign, which preserves volume and reversibility.

    Args:
        step_size: ε, in units of u at unit mass.
        n_leapfrog: leapfrog steps per proposal.
        temperature: T > 0, in units of E.
        max_steps: number of proposals, the length of the chain.
        check_every: see `Solver`.

    >>> import torch, lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=HMC(temperature=0.01))
    >>> bool(found.accepted > 0.5)
    True
    """

    stochastic = True

    def __init__(
        self,
        step_size: float = 0.05,
        n_leapfrog: int = 10,
        temperature: float = 1.0,
        max_steps: int = 100,
        check_every: int = 10,
    ) -> None:
        super().__init__(max_steps, None, check_every)
        if not step_size > 0 or not temperature > 0:
            raise OptionError(
                f"step_size and temperature must be positive, but they are {step_size} and {temperature}."
            )
        if n_leapfrog < 1:
            raise OptionError(f"n_leapfrog must be at least 1, but it is {n_leapfrog}.")
        self.step_size, self.n_leapfrog, self.temperature = step_size, n_leapfrog, temperature

    def supports(self, problem: Problem) -> Support:
        if not problem.domain.discrete and problem.domain.limits(problem.dtype) is None:
            return Support(False, f"it needs an interval in each coordinate, which {problem.domain!r} is not")
        return continuous(problem, penalty=True)

    def init(self, problem: Problem, u: Tensor) -> Walk:
        return Walk(u, *problem.value_and_gradient(u))

    def draw(self, problem: Problem, noise: PerSampleRNG) -> tuple[Tensor, Tensor]:
        return noise.normal(problem.size), noise.uniform()

    def step(self, problem: Problem, state: Walk, drawn: tuple[Tensor, Tensor]) -> tuple[Walk, Info]:
        normal, uniform = drawn
        assert state.energy is not None
        assert state.gradient is not None
        momentum = math.sqrt(self.temperature) * normal
        kinetic = 0.5 * momentum.square().sum(dim=1)
        u, energy, gradient = state.u, state.energy, state.gradient
        for _ in range(self.n_leapfrog):
            momentum = momentum - 0.5 * self.step_size * gradient
            u = u + self.step_size * momentum
            if problem.domain.constrained:
                u, turn = problem.domain.reflect(u)
                momentum = momentum * turn
            energy, gradient = problem.value_and_gradient(u)
            momentum = momentum - 0.5 * self.step_size * gradient
        change = state.energy - energy + kinetic - 0.5 * momentum.square().sum(dim=1)
        return accept(state.u, state.energy, state.gradient, u, energy, gradient, change / self.temperature, uniform)

    @classmethod
    def reference_case(cls) -> SolverCase:
        """At this low temperature the chain stays within √T of the minimum."""
        return SolverCase(cls(temperature=1e-6, max_steps=200), Ellipse.reference_case())
