"""Model-predictive path integral control, as a solver."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, SolverCase, Status
from lowland.solvers.cem import Crowd, Population


@register("solver")
class MPPI(Population):
    """mean ← Σ_n w_n u_n with w = softmax(−E / T) over N candidates around the mean (Williams et al. 2017).

    As in every `Population`, the standard deviation must fall to `tol` twice. That alone says little, since `decay`
    makes it fall on any slope. But at a small deviation the candidates also show how steep E is: the slope in each
    coordinate is fitted to them by least squares, as cov(u, E) / var(u). The residual is the larger of the standard
    deviation and the projected slope, so that CONVERGED means stationary, as with solvers that follow gradients. The
    error of that slope is about the rounding of E over `tol`.

    Args:
        samples, deviation, max_steps, check_every: see `Population`.
        tol: a sample has converged when standard deviation and slope are at most this; None uses the whole budget.
        temperature: T > 0. If `relative`, it is in units of the standard deviation of the candidates' energies, so that
            one value works for all scales of E; otherwise in units of E, as in the paper.
        relative: see `temperature`.
        decay: factor on the standard deviation at each step; 1 keeps it, as in the paper, and below 1 it shrinks.

    Raises:
        OptionError: for options outside their ranges.

    >>> import lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=MPPI(samples=64))
    >>> round(found.energy.item(), 3), found.converged.item()
    (1.0, True)
    """

    def __init__(
        self,
        samples: int = 256,
        temperature: float = 0.1,
        relative: bool = True,
        deviation: float | None = None,
        decay: float = 0.95,
        max_steps: int = 300,
        tol: float | None = 1e-3,
        check_every: int = 5,
    ) -> None:
        super().__init__(samples, deviation, max_steps, tol, check_every)
        if not temperature > 0 or not 0 < decay <= 1:
            raise OptionError(
                f"temperature must be positive and decay in (0, 1], but they are {temperature} and {decay}."
            )
        self.temperature, self.relative, self.decay = temperature, relative, decay

    @property
    def verdict(self) -> Status:
        return Status.CONVERGED

    def step(self, problem: Problem, state: Crowd, drawn: Tensor) -> tuple[Crowd, Info]:
        points_BND, energies_BN, u, best = self.evaluate(problem, state, drawn)
        mean, deviation = self.refit(state, points_BND, energies_BN)
        after, info = self.advance(problem, state, Crowd(u, best, mean, deviation, state.left))
        assert info.residual is not None
        return after, info._replace(residual=info.residual.maximum(_steepness(problem, u, points_BND, energies_BN)))

    def refit(self, state: Crowd, points_BND: Tensor, energies_BN: Tensor) -> tuple[Tensor, Tensor]:
        above = energies_BN - energies_BN.amin(dim=1, keepdim=True)
        unit = torch.ones_like(above[:, :1])
        if self.relative:
            finite = torch.where(torch.isfinite(above), above, 0)
            unit = finite.std(dim=1, keepdim=True).clamp_min(torch.finfo(above.dtype).tiny)
        # If no candidate is finite, inf − inf gives no weights and the mean stays.
        weights = torch.softmax(-above / (self.temperature * unit), dim=1).nan_to_num(nan=1 / self.samples)
        mean = torch.bmm(weights[:, None], points_BND)[:, 0]
        return mean, self.decay * state.deviation

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Ellipse.reference_case())


def _steepness(problem: Problem, u: Tensor, points_BND: Tensor, energies_BN: Tensor) -> Tensor:
    """(B,), the largest entry of u − P(u − g), with the slope g of E fitted to the candidates in each coordinate.

    A coordinate that all candidates share, such as one at its bound, has no slope. Candidates without a finite energy
    are left out.
    """
    known = torch.isfinite(energies_BN)[:, :, None]
    count = known.sum(dim=1, keepdim=True).clamp_min(1)
    points = torch.where(known, points_BND, 0)
    energies = torch.where(known, energies_BN[:, :, None], 0)
    away = torch.where(known, points - points.sum(dim=1, keepdim=True) / count, 0)
    above = torch.where(known, energies - energies.sum(dim=1, keepdim=True) / count, 0)
    tiny = torch.finfo(away.dtype).tiny
    slope = (away * above).sum(dim=1) / away.square().sum(dim=1).clamp_min(tiny)
    return (u - problem.domain.project_iterate(u - slope)).abs().amax(dim=1)
