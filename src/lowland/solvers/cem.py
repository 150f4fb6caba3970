"""The cross-entropy method, and the base class of methods with a population of candidates.

Shape letters: B samples, N candidates for each, D size of u.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Status, Support, continuous
from lowland.tensors import PerSampleRNG


class Crowd(NamedTuple):
    """The best point so far u (B, D), its energy (B,), and the next candidates' mean and standard deviation (B, D).

    `left` (B,) says whether a restart is left.
    """

    u: Tensor
    best: Tensor
    mean: Tensor
    deviation: Tensor
    left: Tensor


class Population(Solver):
    """A Gaussian for each sample, from which every step draws N candidates, projects and evaluates them.

    The first candidate is the mean itself. No gradient is needed. The answer is the best candidate of all steps,
    including the start, so more steps never make it worse.

    In each coordinate the standard deviation is at least the last change of the mean, so a search that is still moving
    widens instead of stopping early. Once the standard deviation has fallen to `tol` in all coordinates, the search
    restarts around the best point, once, with the initial standard deviation. If it collapses there too, the status is
    COLLAPSED: all that is known is that these candidates found nothing better. Only `MPPI` says more, and may converge.

    Args:
        samples: N.
        deviation: initial standard deviation, in units of u; None takes a quarter of the width of each bounded
            coordinate, and 1 for the others.
        max_steps, check_every: see `Solver`.
        tol: the search has collapsed when the residual, the largest standard deviation, is at most this; None uses the
            whole budget and never restarts.
    """

    stochastic = True
    knows_energy = True

    def __init__(
        self, samples: int, deviation: float | None, max_steps: int, tol: float | None, check_every: int
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if samples < 2:
            raise OptionError(f"samples must be at least 2, but it is {samples}.")
        if deviation is not None and not deviation > 0:
            raise OptionError(f"deviation must be positive, or None, but it is {deviation}.")
        self.samples, self.deviation = samples, deviation

    @property
    def verdict(self) -> Status:
        return Status.COLLAPSED

    def supports(self, problem: Problem) -> Support:
        return continuous(problem, penalty=True, does="draws points from a Gaussian")

    def init(self, problem: Problem, u: Tensor) -> Any:
        deviation = torch.ones_like(u) * (1.0 if self.deviation is None else self.deviation)
        limits = problem.domain.limits(u.dtype, u.device)
        if self.deviation is None and limits is not None:
            width = limits[1] - limits[0]
            deviation = torch.where(torch.isfinite(width), width / 4, deviation)
        # The start is the first candidate.
        return Crowd(u, torch.full_like(u[:, 0], torch.inf), u, deviation, torch.ones_like(u[:, 0], dtype=torch.bool))

    def draw(self, problem: Problem, noise: PerSampleRNG) -> Tensor:
        return noise.normal(self.samples - 1, problem.size)

    def step(self, problem: Problem, state: Any, drawn: Tensor) -> tuple[Any, Info]:
        points_BND, energies_BN, u, best = self.evaluate(problem, state, drawn)
        mean, deviation = self.refit(state, points_BND, energies_BN)
        return self.advance(problem, state, Crowd(u, best, mean, deviation, state.left))

    def advance(self, problem: Problem, before: Crowd, after: Crowd) -> tuple[Crowd, Info]:
        """Apply the class's rules for the standard deviation and for restarts to `after`."""
        deviation = torch.maximum(after.deviation, (after.mean - before.mean).abs())
        if self.tol is None:
            return after._replace(deviation=deviation), Info(after.best, deviation.amax(dim=1))
        again = after.left & (deviation.amax(dim=1) <= self.tol)
        first = self.init(problem, after.u).deviation
        mean = torch.where(again[:, None], after.u, after.mean)
        deviation = torch.where(again[:, None], first, deviation)
        residual = torch.where(again, torch.inf, deviation.amax(dim=1))
        return Crowd(after.u, after.best, mean, deviation, after.left & ~again), Info(after.best, residual)

    def evaluate(self, problem: Problem, state: Crowd, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The candidates (B, N, D), their energies (B, N), the best point of all steps (B, D) and its energy (B,)."""
        points_BND = state.mean[:, None] + state.deviation[:, None] * drawn
        points_BND = torch.cat([state.mean[:, None], points_BND], dim=1)
        points_BND = problem.domain.project_iterate(points_BND.flatten(0, 1)).reshape(points_BND.shape)
        energies_BN = finite(problem.candidates(points_BND))
        lowest, index = energies_BN.min(dim=1)
        better = lowest < state.best
        winner = points_BND[torch.arange(len(index), device=index.device), index]
        return points_BND, energies_BN, torch.where(better[:, None], winner, state.u), torch.minimum(lowest, state.best)

    def refit(self, state: Crowd, points_BND: Tensor, energies_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (B, D) of the next candidates."""
        raise NotImplementedError


@register("solver")
class CEM(Population):
    """Cross-entropy method: the next Gaussian fits the elite, the candidates of lowest energy (Rubinstein 1999).

        u_1 … u_N ∼ N(μ, σ²),   μ, σ ← mean and standard deviation of the elite, mixed with the old ones

    Args:
        samples, deviation, max_steps, tol, check_every: see `Population`.
        elite: fraction of the candidates in the elite.
        smoothing: weight of the old mean and standard deviation.
        min_deviation: lower bound on the standard deviation, so that the search does not stall; 0 lets it converge.

    Raises:
        OptionError: for options outside their ranges.

    >>> import lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=CEM(samples=64))
    >>> round(found.energy.item(), 3), ll.Status(found.status.item()).name
    (1.0, 'COLLAPSED')
    """

    def __init__(
        self,
        samples: int = 256,
        elite: float = 0.1,
        smoothing: float = 0.1,
        deviation: float | None = None,
        min_deviation: float = 0.0,
        max_steps: int = 50,
        tol: float | None = 1e-3,
        check_every: int = 5,
    ) -> None:
        super().__init__(samples, deviation, max_steps, tol, check_every)
        if not 0 < elite <= 1 or not 0 <= smoothing < 1 or not min_deviation >= 0:
            raise OptionError(
                "elite must be in (0, 1], smoothing in [0, 1) and min_deviation at least 0, "
                f"but they are {elite}, {smoothing} and {min_deviation}."
            )
        self.elite, self.smoothing, self.min_deviation = elite, smoothing, min_deviation

    def refit(self, state: Crowd, points_BND: Tensor, energies_BN: Tensor) -> tuple[Tensor, Tensor]:
        count = max(2, round(self.elite * self.samples))
        index = energies_BN.topk(count, dim=1, largest=False).indices
        elite = points_BND.gather(1, index[:, :, None].expand(-1, -1, points_BND.shape[2]))
        deviation, mean = torch.std_mean(elite, dim=1, correction=0)
        mean = torch.lerp(mean, state.mean, self.smoothing)
        return mean, torch.lerp(deviation, state.deviation, self.smoothing).clamp_min(self.min_deviation)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Ellipse.reference_case())


def finite(energies: Tensor) -> Tensor:
    """Non-finite energies become infinite, so that such a candidate is never the best."""
    return torch.where(torch.isfinite(energies), energies, torch.inf)
