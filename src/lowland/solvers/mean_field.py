"""Mean field: the closest distribution under which all units are independent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Binary, OneHot, Product
from lowland.energies.rbm import RBM
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Point, Problem, Solver, SolverCase, Support
from lowland.solvers.gibbs import conditional


@register("solver")
class MeanField(Solver):
    """Minimises the free energy F(q) = E(q) − T H(q) over distributions q = Π_j q_j, and takes each unit's likeliest.

    E is affine in each unit, so that its mean under q is E at the shares q themselves; H(q) = −Σ q log q. The best q_j
    given the others is exp(−∂E/∂q_j / T) / Z_j. The units of a block do not depend on one another, so they all move at
    once, and F never increases. F(q) = T KL(q ‖ p) − T log Z with p = exp(−E / T) / Z, so that F is never below
    −T log Z. One step is a sweep over the blocks. Source: Jordan, Ghahramani, Jaakkola & Saul, "An introduction to
    variational methods for graphical models" (1999).

    The answer is a value of the domain. The shares are the last row of the trajectory of `infer(..., record=True)`.

    Args:
        temperature: T > 0, in units of E.
        max_steps: sweeps.
        tol: compared with the largest change of a share in a sweep.
        check_every: see `Solver`.

    >>> import lowland as ll
    >>> case = RBM.reference_case()
    >>> found = ll.infer(case.energy, **case.given, over="z", solver=MeanField(), record=True)
    >>> found.value[0], found.trajectory[-1, 0]
    (tensor([1., 0.]), tensor([0.8808, 0.1192]))
    """

    def __init__(self, temperature: float = 1.0, max_steps: int = 50, tol: float = 1e-3, check_every: int = 1) -> None:
        super().__init__(max_steps, tol, check_every)
        if not temperature > 0:
            raise OptionError(f"temperature must be above 0, but it is {temperature}: at 0 use Gibbs(temperature=0).")
        self.temperature = temperature

    def supports(self, problem: Problem) -> Support:
        parts = problem.domain.parts.values() if isinstance(problem.domain, Product) else (problem.domain,)
        alike = isinstance(problem.domain, OneHot) or all(isinstance(part, Binary) for part in parts)
        if not alike:
            return Support(False, f"{problem.domain!r} is made neither of binary units alone nor of one-hot groups")
        known = bool(problem.structure.blocks)
        return Support(
            known, "" if known else "the energy names no blocks of units that are independent given the rest"
        )

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def step(self, problem: Problem, state: Point, drawn: Any) -> tuple[Point, Info]:
        u, energy = state.u, torch.zeros_like(state.u[:, 0])
        for block in problem.structure.blocks:
            energy, slope = problem.value_and_gradient(u)
            u = u.index_copy(1, block, conditional(problem.domain, slope[:, block], self.temperature).flatten(1))
        return Point(u), Info(energy, (u - state.u).abs().amax(dim=1))

    def free_energy(self, problem: Problem, u: Tensor) -> Tensor:
        """F(q) = E(q) − T H(q) at the shares u (B, D), (B,)."""
        shares = u if isinstance(problem.domain, OneHot) else torch.cat([u, 1 - u], dim=1)
        return problem.value(u) + self.temperature * torch.special.xlogy(shares, shares).sum(dim=1)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), RBM.reference_case(), tolerance=1e-5)
