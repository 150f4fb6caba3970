"""Beam search: the best of several sequences that are written at the same time.

Legend: B samples, W prefixes of a beam, N finished sequences that are kept, D places, K tokens and, where a sequence
may end early, its end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.domains.tokens import EMPTY
from lowland.energies.autoregressive import Autoregressive
from lowland.errors import OptionError
from lowland.registry import register
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support
from lowland.solvers.decoding import begun, checked, decodable, known
from lowland.tensors import tree_map


class Beams(NamedTuple):
    """The best sequence u (B, D), what is finished, what is open, and what was dropped.

    `done` (B, N, D) and its costs (B, N), the cheapest first; `prefix` (B, W, D), its costs (B, W), those of its next
    token (B, W, K) and its memory (B, W, ...); `dropped` (B,), the least cost of a prefix that fell out of the beam;
    `place` (B,), how many tokens the prefixes have.
    """

    u: Tensor
    done: Tensor
    done_cost: Tensor
    prefix: Tensor
    cost: Tensor
    following: Tensor
    memory: Any
    dropped: Tensor
    place: Tensor


@register("solver")
class BeamSearch(Solver):
    """u ← argmin_u Σ_t c_t(u_t | u_<t): of all prefixes one token longer the W cheapest go on (Lowerre 1976).

    Costs are at least 0, so a prefix never becomes cheaper. The residual is the cost of the best finished sequence less
    that of the cheapest open prefix, at least 0: once it is 0 no prefix of the beam can win, and the sample leaves the
    batch. A prefix that fell out of the beam might have won. Where none of these was cheaper than the answer, the
    answer is certified to be the global minimum (`Solution.exact`). Width 1 is greedy search.

    In a sum whose other terms do not say what a token costs, the sequences are proposals. The W cheapest that are
    finished are then compared by all of E, and the residual is that of the last of them: to re-rank an n-best list, add
    what it is to be ranked by. `Solution.candidates` is that list, the cheapest proposal first; what was never finished
    is a copy of the start.

    Args:
        width: W.
        max_steps: most tokens; a beam that has not finished by then has the status MAX_STEPS.

    Raises:
        OptionError: for a width below 1.
        UnsupportedError: when a token has a negative cost.

    >>> import lowland as ll
    >>> energy = Autoregressive.reference_case().energy
    >>> ll.infer(energy, x=torch.zeros(1, 2), over="y", solver=BeamSearch(2)).value
    tensor([[1., 1., 1.]])
    """

    def __init__(self, width: int = 8, max_steps: int = 10_000) -> None:
        super().__init__(max_steps, tol=0.0, check_every=1)
        if width < 1:
            raise OptionError(f"width must be at least 1, but it is {width}.")
        self.width = width

    def supports(self, problem: Problem) -> Support:
        return decodable(problem)

    def exact(self, problem: Problem) -> bool:
        return False

    def init(self, problem: Problem, u: Tensor) -> Beams:
        domain, continuation = known(problem)
        costs, memory = begun(problem, u)
        wide = self.width, 1 if continuation.whole else self.width
        prefix = torch.full_like(u, EMPTY) if domain.empty == "end" else u
        cost, done_cost = (torch.full((len(u), many), torch.inf, dtype=u.dtype, device=u.device) for many in wide)
        cost[:, 0] = 0  # the others come from the first, as soon as there are tokens
        return Beams(
            u=u,
            done=u[:, None].repeat(1, wide[1], 1),
            done_cost=done_cost,
            prefix=prefix[:, None].repeat(1, self.width, 1),
            cost=cost,
            following=costs[:, None].repeat(1, self.width, 1),
            memory=tree_map(lambda part: part[:, None].expand(-1, self.width, *part.shape[1:]), memory),
            dropped=torch.full_like(cost[:, 0], torch.inf),
            place=torch.zeros(len(u), dtype=torch.int64, device=u.device),
        )

    def step(self, problem: Problem, state: Beams, drawn: None) -> tuple[Beams, Info]:
        domain, continuation = known(problem)
        batch, width, tokens = len(state.u), self.width, domain.categories
        # A slot without a prefix holds a copy of another, whose costs say nothing.
        following = torch.where(torch.isinf(state.cost)[:, :, None], torch.inf, state.following)
        broken = checked(following).isnan()
        total = state.cost[:, :, None] + following
        done, done_cost = state.done, state.done_cost
        if domain.empty == "end":
            done, done_cost = _cheapest(done, done_cost, state.prefix, total[:, :, tokens])
        cost, index = total[:, :, :tokens].flatten(1).topk(min(width + 1, width * tokens), largest=False)
        dropped = torch.minimum(state.dropped, cost[:, width]) if cost.shape[1] > width else state.dropped
        cost, parent, token = cost[:, :width], index[:, :width] // tokens, index[:, :width] % tokens
        prefix = state.prefix.gather(1, parent[:, :, None].expand(-1, -1, domain.length))
        place = state.place[:, None, None].expand(-1, width, 1)
        prefix = prefix.scatter(2, place, token[:, :, None].to(prefix.dtype))
        memory = state.memory
        if bool((state.place + 1 >= domain.length).all()):  # all rows are at the same place
            done, done_cost = _cheapest(done, done_cost, prefix, cost)
            cost = torch.full_like(cost, torch.inf)
        else:
            rows = (torch.arange(batch, device=parent.device)[:, None] * width + parent).flatten()
            memory = tree_map(lambda part: part.flatten(0, 1).index_select(0, rows), memory)
            costs, memory = continuation.extend(memory, token.flatten())
            following = costs.to(cost.dtype).unflatten(0, (batch, width))
            memory = tree_map(lambda part: part.unflatten(0, (batch, width)), memory)
        least = cost[:, 0]
        finished = done_cost[:, 0] < torch.inf
        u = torch.where(finished[:, None], done[:, 0], prefix[:, 0])
        energy = torch.where(finished, done_cost[:, 0], least).masked_fill(broken, torch.nan)
        # Where nothing is open the search is over, whatever it has found.
        residual = torch.where(torch.isinf(least), 0, (done_cost[:, -1] - least).clamp_min(0))
        exact = finished & (done_cost[:, 0] <= torch.minimum(dropped, least)) & continuation.whole
        if not continuation.whole:
            u, energy = _ranked(problem, residual <= 0, done, done_cost, u, energy)
        state = Beams(u, done, done_cost, prefix, cost, following, memory, dropped, state.place + 1)
        return state, Info(energy, residual, exact=exact, candidates=None if continuation.whole else done)

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Autoregressive.reference_case(), tolerance=1e-5)


def _cheapest(done: Tensor, done_cost: Tensor, more: Tensor, more_cost: Tensor) -> tuple[Tensor, Tensor]:
    """The N cheapest of those finished and of more, in order: (B, N, D) and (B, N)."""
    all_cost, order = torch.cat([done_cost, more_cost], dim=1).sort(dim=1, stable=True)
    order = order[:, : done.shape[1], None].expand(-1, -1, done.shape[2])
    return torch.cat([done, more], dim=1).gather(1, order), all_cost[:, : done.shape[1]]


def _ranked(
    problem: Problem, ended: Tensor, done: Tensor, done_cost: Tensor, u: Tensor, energy: Tensor
) -> tuple[Tensor, Tensor]:
    """The finished sequence of least E, and that E, for the rows that have ended; u and energy of the others."""
    rows = ended.nonzero()[:, 0]
    if len(rows):
        energies = problem.take(rows).candidates(done[rows])
        # What was never finished is no candidate.
        energies = torch.where(torch.isinf(done_cost[rows]), torch.inf, energies)
        least, best = energies.min(dim=1)
        u = u.index_copy(0, rows, done[rows, best])
        energy = energy.index_copy(0, rows, torch.where(energy[rows].isnan(), torch.nan, least))
    return u, energy
