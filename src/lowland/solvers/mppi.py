"""Model-predictive path integral control, as a solver."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import SolverCase
from lowland.solvers.cem import Crowd, Population


@register("solver")
class MPPI(Population):
    """mean ← Σ_n w_n u_n with w = softmax(−E / T) over N candidates around the mean (Williams et al. 2017).

    Args:
        samples, deviation, max_steps, tol, check_every: see `Population`.
        temperature: T > 0. If `relative`, it is in units of the standard deviation of the candidates' energies, so that
            one value works for all scales of E; otherwise in units of E, as in the paper.
        relative: see `temperature`.
        decay: factor on the standard deviation at each step; 1 keeps it, as in the paper, and below 1 it shrinks.

    Raises:
        OptionError: for options outside their ranges.

    >>> import lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=MPPI(samples=64))
    >>> round(found.energy.item(), 3)
    1.0
    """

    def __init__(
        self,
        samples: int = 256,
        temperature: float = 0.1,
        relative: bool = True,
        deviation: float | None = None,
        decay: float = 0.95,
        max_steps: int = 100,
        tol: float | None = 1e-3,
        check_every: int = 5,
    ) -> None:
        super().__init__(samples, deviation, max_steps, tol, check_every)
        if not temperature > 0 or not 0 < decay <= 1:
            raise OptionError(
                f"temperature must be positive and decay in (0, 1], but they are {temperature} and {decay}."
            )
        self.temperature, self.relative, self.decay = temperature, relative, decay

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
