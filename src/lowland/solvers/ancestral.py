"""Ancestral sampling: one token after another, each drawn given those before it.

Legend: B samples, D places, K tokens and, where a sequence may end early, its end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.domains.tokens import EMPTY
from lowland.energies.autoregressive import Autoregressive
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Status, Support
from lowland.solvers.decoding import begun, checked, decodable, known
from lowland.tensors import PerSampleRNG


class Sequence(NamedTuple):
    """What is written, u (B, D), its cost (B,), the costs of the next token (B, K), the memory, and the length (B,)."""

    u: Tensor
    cost: Tensor
    following: Tensor
    memory: Any
    place: Tensor


@register("solver")
class Ancestral(Solver):
    """u_t ∼ p(k) ∝ exp(−c_t(k | u_<t) / T) for t = 1, 2, …: a draw of exp(−E) if T = 1 and the costs are −log p.

    With other costs, or another T, each token is drawn from its own softmax, which is not exp(−E / T) as a whole. T = 0
    takes the cheapest token each time. Each sample has its own stream of random numbers, so that it does not depend on
    the others in its batch; for several draws of one x repeat its row.

    A sequence that has ended leaves the batch with the status COLLAPSED: it is a draw, and certifies nothing. One that
    is cut off by `max_steps` has MAX_STEPS.

    Args:
        temperature: T ≥ 0, in units of E.
        top_k: draw among so many most likely tokens (Fan et al. 2018); None for all.
        nucleus: draw among the fewest tokens that together have at least this probability, the most likely first, after
            temperature and top_k (Holtzman et al. 2020, equation 2); 1 for all.
        max_steps: most tokens.

    Raises:
        OptionError: for a negative temperature, a top_k below 1, or a nucleus outside (0, 1].
        UnsupportedError: when a token has a negative cost.

    >>> import lowland as ll
    >>> energy = Autoregressive.reference_case().energy
    >>> ll.infer(energy, x=torch.zeros(2, 2), over="y", solver=Ancestral()).value.shape
    torch.Size([2, 3])
    """

    stochastic = True

    def __init__(
        self, temperature: float = 1.0, top_k: int | None = None, nucleus: float = 1.0, max_steps: int = 10_000
    ) -> None:
        super().__init__(max_steps, tol=0.0, check_every=1)
        if not 0 <= temperature < torch.inf:
            raise OptionError(f"temperature must be a number of at least 0, but it is {temperature}.")
        if top_k is not None and top_k < 1:
            raise OptionError(f"top_k must be at least 1, or None for all tokens, but it is {top_k}.")
        if not 0 < nucleus <= 1:
            raise OptionError(f"nucleus must be above 0 and at most 1, but it is {nucleus}.")
        self.temperature, self.top_k, self.nucleus = temperature, top_k, nucleus

    @property
    def verdict(self) -> Status:
        return Status.COLLAPSED

    def supports(self, problem: Problem) -> Support:
        support = decodable(problem)
        if support and not known(problem)[1].whole:
            return Support(False, "some terms of the energy do not say what a token costs: use BeamSearch")
        return support

    def exact(self, problem: Problem) -> bool:
        return False

    def init(self, problem: Problem, u: Tensor) -> Sequence:
        costs, memory = begun(problem, u)
        u = torch.full_like(u, EMPTY) if known(problem)[0].empty == "end" else u
        place = torch.zeros(len(u), dtype=torch.int64, device=u.device)
        return Sequence(u, torch.zeros_like(u[:, 0]), costs, memory, place)

    def draw(self, problem: Problem, noise: PerSampleRNG) -> Tensor:
        return noise.uniform()

    def step(self, problem: Problem, state: Sequence, drawn: Tensor) -> tuple[Sequence, Info]:
        domain, continuation = known(problem)
        broken = checked(state.following).isnan()
        index = self._pick(state.following, drawn)
        price = state.following.gather(1, index[:, None])[:, 0]
        cost = (state.cost + price).masked_fill(broken, torch.nan)
        ends = index == domain.categories
        entry = torch.where(ends, EMPTY, index).to(state.u.dtype)
        u = state.u.scatter(1, state.place[:, None], entry[:, None])
        place, following, memory = state.place + 1, state.following, state.memory
        ended = ends | (place >= domain.length)
        if not bool(ended.all()):
            following, memory = continuation.extend(memory, index.clamp_max(domain.categories - 1))
        residual = torch.where(ended, 0.0, torch.inf).to(u.dtype)
        return Sequence(u, cost, following.to(u.dtype), memory, place), Info(cost, residual)

    def _pick(self, costs: Tensor, uniform: Tensor) -> Tensor:
        """The number of the token that each row draws, (B,), by inversion of its distribution function."""
        if self.temperature == 0:
            return costs.argmin(dim=1)
        # In float64, since a vocabulary is long and many of its words are rare.
        share = torch.softmax(-costs.double() / self.temperature, dim=1)
        share, token = share.sort(dim=1, descending=True, stable=True)
        if self.top_k is not None:
            share[:, self.top_k :] = 0
            share = share / share.sum(dim=1, keepdim=True)
        below = share.cumsum(dim=1)
        if self.nucleus < 1:
            # A token is kept if those before it do not yet have the probability asked for; the first always is.
            share = share.masked_fill(below - share >= self.nucleus, 0)
            below = share.cumsum(dim=1)
        place = (uniform.double()[:, None] * below[:, -1:] > below).sum(dim=1).clamp_max(costs.shape[1] - 1)
        return token.gather(1, place[:, None])[:, 0]

    @classmethod
    def reference_case(cls) -> SolverCase:
        """Without temperature it is greedy, which suffices where tokens do not depend on each other."""
        return SolverCase(cls(temperature=0.0), Autoregressive.reference_case(), tolerance=1e-5)
