"""The only loop: budgets, stopping of each sample, finiteness and the departure of solved samples live here.

Residuals are looked at every `check_every` steps. A sample that has converged, or is no longer finite, is written
out then and leaves the batch; the others are gathered, so that later steps cost less. Since looks come at fixed
steps, a sample stops at the same step whether it is solved alone or in a batch.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.solvers.base import Info, Problem, Solver
from lowland.tensors import RowNoise


class Status(enum.IntEnum):
    """How the inference of one sample ended."""

    CONVERGED = 0
    MAX_STEPS = 1
    NON_FINITE = 2


class Trace(NamedTuple):
    """What the loop returns.

    `u` (B, D), `status`, `steps` and `residual` (B,), `trajectory` (T + 1, B, D) or None, and `accepted` (B,), the
    share of accepted proposals of a sampler, or None.
    """

    u: Tensor
    status: Tensor
    steps: Tensor
    residual: Tensor
    trajectory: Tensor | None
    accepted: Tensor | None


def run(
    problem: Problem,
    solver: Solver,
    start: Tensor,
    noise: RowNoise,
    record: bool = False,
    compiled: bool = False,
    advance: Callable[[Problem, Any, Any], tuple[Any, Info]] | None = None,
) -> Trace:
    """Solve from `start` (B, D). See `lowland.infer` for the options; `advance` stands in for the solver's `step`."""
    batch = start.shape[0]
    u = start.clone()
    status = torch.full((batch,), int(Status.MAX_STEPS), dtype=torch.int8, device=start.device)
    steps = torch.zeros(batch, dtype=torch.int64, device=start.device)
    residual = torch.full((batch,), torch.inf, dtype=start.dtype, device=start.device)
    accepted = torch.zeros(batch, dtype=start.dtype, device=start.device)
    frames = [start] if record else []
    rows, real, taken = torch.arange(batch, device=start.device), batch, 0
    state, samples = solver.init(problem, start), False
    if advance is None:
        advance = _compiled(problem, solver) if compiled else solver.step

    while taken < solver.max_steps and real:
        before, count = state, min(solver.check_every, solver.max_steps - taken)
        info = None
        for _ in range(count):
            state, info = advance(problem, state, solver.draw(problem, noise))
            if info.accepted is not None:
                samples = True
                accepted[rows[:real]] += info.accepted[:real]
            if record:
                frames.append(frames[-1].index_copy(0, rows[:real], state.u[:real].detach()))
        assert info is not None
        taken += count
        ended, finite = _ended(solver, state, info)
        last = taken >= solver.max_steps
        if not last and not bool(ended[:real].any()):
            continue
        leaving = torch.ones_like(ended[:real]) if last else ended[:real]
        out, ok = rows[:real][leaving], finite[:real][leaving]
        u[out] = torch.where(ok[:, None], state.u[:real][leaving], before.u[:real][leaving])
        if info.residual is not None:
            residual[out] = info.residual[:real][leaving].to(residual.dtype)
        steps[out] = taken
        verdict = torch.where(ended[:real][leaving], int(Status.CONVERGED), int(Status.MAX_STEPS))
        status[out] = torch.where(ok, verdict, int(Status.NON_FINITE)).to(torch.int8)
        stay = (~leaving).nonzero()[:, 0]
        real = len(stay)
        if real:
            if compiled:
                stay = _padded(stay, len(rows))
            rows, problem, noise = rows[stay], problem.select(stay), noise.select(stay)
            state = type(state)(*(part if part is None else part[stay] for part in state))
    u = problem.domain.project(u)
    rate = accepted / steps.clamp_min(1) if samples else None
    return Trace(u, status, steps, residual, torch.stack(frames) if record else None, rate)


def _ended(solver: Solver, state: Any, info: Info) -> tuple[Tensor, Tensor]:
    finite = torch.isfinite(info.energy) & torch.isfinite(state.u).all(dim=1)
    if solver.tol is None or info.residual is None:
        return ~finite, finite
    return ~finite | (info.residual <= solver.tol), finite


def _padded(stay: Tensor, size: int) -> Tensor:
    """Rows to keep, padded with copies of the first to one of size, size/2, size/4 …: few shapes to compile."""
    while size // 2 >= len(stay) and size % 2 == 0:
        size //= 2
    return torch.cat([stay, stay[:1].expand(size - len(stay))])


def _compiled(problem: Problem, solver: Solver) -> Callable[[Problem, Any, Any], tuple[Any, Info]]:
    """The step through torch.compile. Gradients go through torch.func, which a compiled graph can hold."""
    problem.compiling = True
    step = torch.compile(solver.step, dynamic=False)

    def advance(problem: Problem, state: Any, drawn: Any) -> tuple[Any, Info]:
        problem.structure  # noqa: B018  computed outside the graph, once
        return step(problem, state, drawn)

    return advance
