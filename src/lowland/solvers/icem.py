"""The improved cross-entropy method, for sequences: coloured noise, and elites kept between steps.

Shape letters: B samples, N candidates for each, D = T · A size of u, T steps, K kept elites.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, SolverCase
from lowland.solvers.cem import Crowd, Population
from lowland.tensors import PerSampleRNG


class Kept(NamedTuple):
    """A `Crowd` with the kept elites (B, K, D) and their energies (B, K)."""

    u: Tensor
    best: Tensor
    mean: Tensor
    deviation: Tensor
    left: Tensor
    points: Tensor
    energies: Tensor


@register("solver")
class ICEM(Population):
    """CEM for sequences u of shape (T, A), with coloured noise along T and elites kept for the next step.

        u_1 … u_N ∼ μ + σ ε, S_ε(f) ∝ f^−colour,   μ, σ ← mean and standard deviation of the elite of the candidates and
        the kept

    Source: Pinneri et al. 2020, "Sample-efficient cross-entropy method for real-time planning", sections 3.1 and 3.2.
    Low-frequency noise reaches further than white noise of the same size, which averages out. The first axis of the
    variable's shape is time; a plain vector is a sequence of scalars. Energies are deterministic, so kept elites are
    not evaluated again. Unlike the paper, N does not decay: all steps draw the same number.

    Args:
        samples, deviation, max_steps, tol, check_every: see `Population`.
        colour: exponent of the spectrum, 0 for white noise; the paper has 0.25 to 4, by task.
        elite: number of candidates in the elite, 10 in the paper.
        keep: fraction of the elite kept for the next step, 0.3 in the paper.
        smoothing: weight of the old mean and standard deviation, 0.1 in the paper.

    Raises:
        OptionError: for options outside their ranges.

    >>> import lowland as ll
    >>> found = ll.infer(Ellipse(), y=torch.tensor([[3.0, 0.0]]), over="z", solver=ICEM(samples=64))
    >>> round(found.energy.item(), 3)
    1.0
    """

    def __init__(
        self,
        samples: int = 64,
        colour: float = 2.0,
        elite: int = 10,
        keep: float = 0.3,
        smoothing: float = 0.1,
        deviation: float | None = None,
        max_steps: int = 30,
        tol: float | None = 1e-3,
        check_every: int = 5,
    ) -> None:
        super().__init__(samples, deviation, max_steps, tol, check_every)
        if not colour >= 0 or not 2 <= elite <= samples or not 0 <= keep <= 1 or not 0 <= smoothing < 1:
            raise OptionError(
                "colour must be at least 0, elite from 2 to samples, keep in [0, 1] and smoothing in [0, 1), but they "
                f"are {colour}, {elite}, {keep} and {smoothing}."
            )
        self.colour, self.elite, self.keep, self.smoothing = colour, elite, keep, smoothing

    def init(self, problem: Problem, u: Tensor) -> Kept:
        crowd: Crowd = super().init(problem, u)
        count = max(1, round(self.keep * self.elite))
        points = u[:, None].expand(-1, count, -1).clone()
        energies = torch.full_like(points[:, :, 0], torch.inf)
        energies[:, 0] = crowd.best
        return Kept(*crowd, points, energies)

    def draw(self, problem: Problem, noise: PerSampleRNG) -> Tensor:
        shape = problem.domain.shape
        white_BNTX = noise.normal(self.samples - 1, shape[0], problem.size // shape[0])
        return (_filter(shape[0], self.colour).to(white_BNTX) @ white_BNTX).flatten(2)

    def step(self, problem: Problem, state: Kept, drawn: Tensor) -> tuple[Kept, Info]:
        crowd = Crowd(*state[:-2])
        points_BND, energies_BN, u, best = self.evaluate(problem, crowd, drawn)
        if self.keep:
            points_BND = torch.cat([points_BND, state.points], dim=1)
            energies_BN = torch.cat([energies_BN, state.energies], dim=1)
        energies, index = energies_BN.topk(self.elite, dim=1, largest=False)
        elite = points_BND.gather(1, index[:, :, None].expand(-1, -1, points_BND.shape[2]))
        deviation, mean = torch.std_mean(elite, dim=1, correction=0)
        mean = torch.lerp(mean, state.mean, self.smoothing)
        deviation = torch.lerp(deviation, state.deviation, self.smoothing)
        count = state.points.shape[1]
        after, told = self.advance(problem, crowd, Crowd(u, best, mean, deviation, crowd.left))
        return Kept(*after, elite[:, :count], energies[:, :count]), told

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Ellipse.reference_case())


@functools.cache
def _filter(length: int, colour: float) -> Tensor:
    """(T, T): turns white noise of T steps into noise of unit variance with the spectrum f^−colour.

    As Timmer & König (1995) do; the mean counts as the lowest frequency.
    """
    frequencies = torch.fft.rfftfreq(length, dtype=torch.float64).clamp_min(1 / length)
    spectrum = torch.fft.rfft(torch.eye(length, dtype=torch.float64), dim=0)
    rows = torch.fft.irfft(spectrum * frequencies[:, None] ** (-colour / 2), n=length, dim=0)
    return rows / rows.norm(dim=1, keepdim=True)
