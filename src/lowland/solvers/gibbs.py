"""Gibbs sampling of binary and one-hot variables."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.domains import Binary, Domain, OneHot, Product
from lowland.energies.rbm import RBM
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Point, Problem, Solver, SolverCase, Status, Support
from lowland.tensors import PerSampleRNG


@register("solver")
class Gibbs(Solver):
    """Draws each unit from its conditional distribution given all others: P(u_j = 1 | rest) = sigmoid(−(E₁ − E₀) / T).

    One step is one sweep. If the energy names blocks of units that are independent given the rest, each block is drawn
    at once from the log-odds −∂E/∂u, as in a restricted Boltzmann machine or on a grid (Geman & Geman 1984; Hinton
    2002). Otherwise each binary unit and each one-hot group is drawn in turn from the energies of all its values. At
    T = 0 each takes its best value, so E never increases: iterated conditional modes (Besag 1986).

    Args:
        temperature: T ≥ 0, in units of E.
        max_steps: sweeps.
        tol: compared with the number of entries that a sweep changed; 0 with T = 0 stops at a local minimum, where no
            change of a single unit or group lowers E. With T > 0 an unchanged sweep certifies nothing: the status is
            COLLAPSED.
        check_every: see `Solver`.

    >>> import lowland as ll
    >>> ll.infer(RBM(2, 3), over=("y", "z"), solver=Gibbs(max_steps=5)).value["y"].shape
    torch.Size([1, 2])
    """

    stochastic = True

    def __init__(
        self, temperature: float = 1.0, max_steps: int = 100, tol: float | None = None, check_every: int = 1
    ) -> None:
        super().__init__(max_steps, tol, check_every)
        if not temperature >= 0:
            raise OptionError(f"temperature must be at least 0, but it is {temperature}.")
        self.temperature = temperature

    @property
    def verdict(self) -> Status:
        return Status.COLLAPSED if self.temperature else Status.CONVERGED

    def supports(self, problem: Problem) -> Support:
        known = _sites(problem.domain) is not None
        return Support(known, "" if known else f"{problem.domain!r} is not made of binary and one-hot variables")

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def draw(self, problem: Problem, noise: PerSampleRNG) -> Tensor:
        return noise.uniform(problem.size)

    def step(self, problem: Problem, state: Point, drawn: Tensor) -> tuple[Point, Info]:
        u, energy = state.u, torch.zeros_like(state.u[:, 0])
        for block in problem.structure.blocks:
            energy, gradient = problem.value_and_gradient(u)
            share = conditional(problem.domain, gradient[:, block], self.temperature)
            u = u.index_copy(1, block, self._draw(share, drawn[:, block]))
        if not problem.structure.blocks:
            for site, options in _sites(problem.domain, u) or []:
                u, energy = self._site(problem, u, site, options, drawn[:, site.start])
        return Point(u), Info(energy, (u != state.u).sum(dim=1).to(u.dtype))

    def _draw(self, share: Tensor, uniform: Tensor) -> Tensor:
        """Values of units with the probabilities `share`, see `conditional`."""
        if self.temperature == 0:
            return share.flatten(1)
        if share.shape[2] == 1:
            return (uniform < share[:, :, 0]).to(share.dtype)
        index = _place(share.cumsum(dim=2), uniform.unflatten(1, share.shape[1:])[:, :, :1])
        return torch.nn.functional.one_hot(index, share.shape[2]).to(share.dtype).flatten(1)

    def _site(
        self, problem: Problem, u: Tensor, site: slice, options: Tensor, uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Redraw one unit or group given all else, and return the energy after it."""
        points = u[:, None].repeat(1, len(options), 1)
        points[:, :, site] = options
        energies = problem.candidates(points)
        if self.temperature == 0:
            index = energies.argmin(dim=1)
        else:
            below = torch.softmax(-energies / self.temperature, dim=1).cumsum(dim=1)
            index = _place(below, uniform[:, None])
        rows = torch.arange(len(u), device=u.device)
        return points[rows, index], energies[rows, index]

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(temperature=0.0, tol=0.0), RBM.reference_case(), tolerance=1e-5)


def conditional(domain: Domain, slope: Tensor, temperature: float) -> Tensor:
    """P(value | rest) ∝ exp(−E / T) of the units of a block, (B, n, 1) of being 1, or (B, n, K) for one-hot groups.

    Args:
        domain: of all units.
        slope: ∂E/∂u of the block's coordinates, (B, n) or (B, n · K).
        temperature: T ≥ 0; at 0 the best value has all of the probability, the first of several.
    """
    width = domain.categories if isinstance(domain, OneHot) else 1
    slope = slope.unflatten(1, (-1, width))
    if temperature:
        return torch.sigmoid(-slope / temperature) if width == 1 else torch.softmax(-slope / temperature, dim=2)
    if width == 1:
        return (slope < 0).to(slope.dtype)
    return torch.nn.functional.one_hot(slope.argmin(dim=2), width).to(slope.dtype)


def _place(below: Tensor, uniform: Tensor) -> Tensor:
    """Which of the values on the last axis is drawn, by their cumulated shares."""
    return (uniform * below[..., -1:] > below).sum(dim=-1).clamp_max(below.shape[-1] - 1)


def _sites(domain: Domain, like: Tensor | None = None, offset: int = 0) -> list[tuple[slice, Tensor]] | None:
    """The units or groups drawn at once, with their possible values; None if the domain has other parts."""
    like = torch.zeros(0) if like is None else like
    if isinstance(domain, Binary):
        values = like.new_tensor([[0.0], [1.0]])
        return [(slice(j, j + 1), values) for j in range(offset, offset + domain.size)]
    if isinstance(domain, OneHot):
        values, width = torch.eye(domain.categories, dtype=like.dtype, device=like.device), domain.categories
        return [(slice(j, j + width), values) for j in range(offset, offset + domain.size, width)]
    if not isinstance(domain, Product):
        return None
    sites: list[tuple[slice, Tensor]] = []
    for name, part in domain.parts.items():
        more = _sites(part, like, offset + domain.slices[name].start)
        if more is None:
            return None
        sites += more
    return sites
