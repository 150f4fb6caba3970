"""The only loop: it handles budgets, stopping of each sample, finiteness and removal of solved samples.

Residuals are checked every `check_every` steps. A sample that has converged, or is no longer finite, is then written
out and leaves the batch; the others are gathered, so later steps cost less. Since checks come at fixed steps, a sample
stops at the same step whether it is solved alone or in a batch.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.solvers.base import Info, Problem, Solver, Status
from lowland.tensors import PerSampleRNG, take

# Entering a compiled graph costs as much as a small step, so several share one; more would take longer to compile.
_COMPILED_STEPS = 5
# All solvers share the code of `_several`: each needs its own graph for each batch size.
_GRAPHS = 256


class Trace(NamedTuple):
    """What the loop returns.

    `u` (B, D), `status`, `steps` and `residual` (B,), `trajectory` (T + 1, B, D) or None, and `accepted` (B,), the
    acceptance rate of a sampler, or None. `energy` (B,) is E at u if the solver has computed it, and `exact` (B,) says
    of each sample whether it has a certificate, if the solver knows that of each; `candidates` (B, N, D) are the
    answers that it compared at the end, if it did.
    """

    u: Tensor
    status: Tensor
    steps: Tensor
    residual: Tensor
    trajectory: Tensor | None
    accepted: Tensor | None
    energy: Tensor | None = None
    exact: Tensor | None = None
    candidates: Tensor | None = None


def run(
    problem: Problem,
    solver: Solver,
    start: Tensor,
    noise: PerSampleRNG,
    record: bool = False,
    compiled: bool = False,
    step: Callable[[Problem, Any, Any], tuple[Any, Info]] | None = None,
) -> Trace:
    """Solve from `start` (B, D). See `lowland.infer` for the options; `step` replaces the solver's own."""
    batch = start.shape[0]
    # Every sample is written once it ends; with a budget of 0 the start is the answer.
    u = torch.empty_like(start) if solver.max_steps else start.clone()
    status = torch.full((batch,), int(Status.MAX_STEPS), dtype=torch.int8, device=start.device)
    steps = torch.zeros(batch, dtype=torch.int64, device=start.device)
    residual = torch.full((batch,), torch.inf, dtype=start.dtype, device=start.device)
    accepted = torch.zeros(batch, dtype=start.dtype, device=start.device)
    exact = torch.zeros(batch, dtype=torch.bool, device=start.device)
    energy, certifies, candidates, frames = None, False, None, [start] if record else []
    rows, real, taken = torch.arange(batch, device=start.device), batch, 0
    state, samples = solver.init(problem, start), False
    advance = _compiled(problem, solver) if compiled else functools.partial(_several, step or solver.step)
    block = _COMPILED_STEPS if compiled else solver.check_every

    with torch._dynamo.config.patch(recompile_limit=_GRAPHS) if compiled else contextlib.nullcontext():
        while taken < solver.max_steps and real:
            before, count = state, min(solver.check_every, solver.max_steps - taken)
            info = None
            for first in range(0, count, block):
                draws = (solver.draw(problem, noise) for _ in range(min(block, count - first)))
                state, info, passed, visited = advance(problem, state, draws, record)
                if passed is not None:
                    samples = True
                    accepted[rows[:real]] += passed[:real]
                for u_there in visited:
                    frames.append(frames[-1].index_copy(0, rows[:real], u_there[:real].detach()))
            assert info is not None
            taken += count
            last = taken >= solver.max_steps
            if not last and not _some_ended(solver, state, info):
                continue
            ended, finite = _ended(solver, state, info)
            leaving = torch.ones_like(ended[:real]) if last else ended[:real]
            out, ok = rows[:real][leaving], finite[:real][leaving]
            if len(out) == batch and bool(ok.all()):
                u = state.u if solver.direct else u.copy_(state.u[:batch])
                energy = info.energy if solver.direct or solver.knows_energy else None
            else:
                u[out] = torch.where(ok[:, None], state.u[:real][leaving], before.u[:real][leaving])
            if info.residual is not None:
                residual[out] = info.residual[:real][leaving].to(residual.dtype)
            if info.exact is not None:
                exact[out], certifies = info.exact[:real][leaving], True
            if info.candidates is not None:
                if candidates is None:
                    candidates = info.candidates.new_zeros(batch, *info.candidates.shape[1:])
                candidates[out] = info.candidates[:real][leaving]
            steps[out] = taken
            verdict = torch.where(ended[:real][leaving], int(solver.verdict), int(Status.MAX_STEPS))
            status[out] = torch.where(ok, verdict, int(Status.NON_FINITE)).to(torch.int8)
            stay = (~leaving).nonzero()[:, 0]
            real = len(stay)
            if real:
                if compiled:
                    stay = _padded(stay, len(rows))
                rows, problem, noise = rows[stay], problem.take(stay), noise.take(stay)
                state = type(state)(*(take(part, stay) for part in state))
    u = problem.domain.project(u)
    rate = accepted / steps.clamp_min(1) if samples else None
    trajectory = torch.stack(frames) if record else None
    return Trace(u, status, steps, residual, trajectory, rate, energy, exact if certifies else None, candidates)


def _some_ended(solver: Solver, state: Any, info: Info) -> bool:
    """Whether any row may have ended. A sum is finite only if each term is."""
    total = state.u.sum() + info.energy.sum()
    some = total - total != 0
    if solver.tol is not None and info.residual is not None:
        some = some | (info.residual <= solver.tol).any()
    return bool(some)


def _ended(solver: Solver, state: Any, info: Info) -> tuple[Tensor, Tensor]:
    # A sum is finite only if each term is; the converse may fail by overflow.
    finite = torch.isfinite(info.energy) & torch.isfinite(state.u.sum(dim=1))
    if not bool(finite.all()):
        finite = torch.isfinite(info.energy) & torch.isfinite(state.u).all(dim=1)
    if solver.direct and info.residual is None:
        return torch.ones_like(finite), finite
    if solver.tol is None or info.residual is None:
        return ~finite, finite
    return ~finite | (info.residual <= solver.tol), finite


def _padded(stay: Tensor, size: int) -> Tensor:
    """Rows to keep, padded with copies of the first to size, size/2, size/4 …, so that few shapes are compiled."""
    while size // 2 >= len(stay) and size % 2 == 0:
        size //= 2
    return torch.cat([stay, stay[:1].expand(size - len(stay))])


def _several(
    step: Callable[[Problem, Any, Any], tuple[Any, Info]],
    problem: Problem,
    state: Any,
    draws: Iterable[Any],
    record: bool,
) -> tuple[Any, Info | None, Tensor | None, list[Tensor]]:
    """One step for each of `draws`: the last state and Info, accepted proposals (B,), and each u if recorded."""
    info, accepted, visited = None, None, []
    for drawn in draws:
        state, info = step(problem, state, drawn)
        if info.accepted is not None:
            accepted = info.accepted if accepted is None else accepted + info.accepted
        if record:
            visited.append(state.u)
    return state, info, accepted, visited


@functools.cache
def _graph() -> Callable[..., tuple[Any, Info | None, Tensor | None, list[Tensor]]]:
    """`_several` through torch.compile, created once, since torch checks all its settings each time."""
    return torch.compile(_several, dynamic=False)


def _compiled(problem: Problem, solver: Solver) -> Callable[..., tuple[Any, Info | None, Tensor | None, list[Tensor]]]:
    """Several steps as one graph. Gradients use torch.func, which can be compiled into a graph."""
    problem.compiling = True

    def advance(
        problem: Problem, state: Any, draws: Iterable[Any], record: bool
    ) -> tuple[Any, Info | None, Tensor | None, list[Tensor]]:
        _ = problem.structure  # computed outside the graph, once
        return _graph()(solver.step, problem, state, list(draws), record)

    return advance
