"""`infer` minimises an energy over some variables, `free_energy` eliminates z, `solve` runs a solver on a problem."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.domains import Sparse
from lowland.energies.base import Energy
from lowland.errors import DomainError, InferenceError, OptionError, ShapeError, UnsupportedError, check_instance
from lowland.registry import registered
from lowland.solvers.adjoint import Adjoint, Detach, Task, Unroll
from lowland.solvers.base import Problem, Solver, Status, bind
from lowland.solvers.loop import Trace, run
from lowland.tensors import PerSampleRNG, check_finite, soft_minimum

# The starts of a local method: Potts energies of a dozen units of three states have most of their valleys in reach.
_STARTS = 8

__all__ = ["FreeEnergy", "Solution", "Status", "default_solver", "free_energy", "infer", "solve"]


@dataclasses.dataclass(frozen=True)
class Solution:
    """What `infer` found.

    Attributes:
        value: the free variable at the minimum, in its own shape; a dictionary by name where several were free.
        energy: (B,) E there. Over all latents this is F(x, y); it carries gradients to the energy's parameters.
        status: (B,) int8, a `Status`: CONVERGED 0, MAX_STEPS 1, NON_FINITE 2 (value is then the last finite one),
            COLLAPSED 3, WARM_START 4, OVERFLOW 5. Only the first certifies anything.
        exact: (B,) of booleans, whether it is the global minimum, to the solver's tolerance: found by a closed form or
            a whole search, certified by a duality gap or by a beam that dropped nothing cheaper, or stationary where E
            is known to be convex. Elsewhere a sample that has converged is at a local minimum, or a saddle, and a lower
            one may exist.
        steps: (B,) steps taken by each sample.
        residual: (B,) distance from stationarity at the end, in the solver's own measure; infinite for samplers and
            warm starts.
        trajectory: (T + 1, B, D) of flat u where `record=True`, else None.
        accepted: (B,) share of accepted proposals, for samplers that propose, else None.
        solver: the solver that did it.
        candidates: (B, N, D) of flat u, the answers that were compared at the end, where the solver compares some; see
            `BeamSearch`. Else None.
    """

    value: Any
    energy: Tensor
    status: Tensor
    exact: Tensor
    steps: Tensor
    residual: Tensor
    trajectory: Tensor | None
    accepted: Tensor | None
    solver: Solver
    candidates: Tensor | None = None

    @property
    def converged(self) -> Tensor:
        """(B,) of booleans: what the status certifies, a stationary point or a certificate."""
        return self.status == Status.CONVERGED

    def raise_if_failed(self) -> Solution:
        """This solution, or an InferenceError that says how many samples did not converge and what to change."""
        failed = self.status != Status.CONVERGED
        if bool(failed.any()):
            counts = [(name, int((self.status == name).sum())) for name in Status if name != Status.CONVERGED]
            ends = ", ".join(f"{count} {name.name}" for name, count in counts if count)
            ways = " ".join(_WAYS[name] for name, count in counts if count)
            raise InferenceError(
                f"{int(failed.sum())} of {len(failed)} samples did not converge ({ends}) with {self.solver!r}. {ways}"
            )
        return self


_WAYS = {
    Status.MAX_STEPS: "Raise max_steps or loosen tol; a sampler has no end to come to.",
    Status.NON_FINITE: "Lower the step size.",
    Status.COLLAPSED: "Follow with a solver that certifies, such as LBFGS with init= what was found.",
    Status.WARM_START: "Refine the warm start with another solver, which starts from it.",
    Status.OVERFLOW: "Scale the data down or use float64, unless no answer is possible.",
}


def _solution(value: Any, energy: Tensor, trace: Trace, solver: Solver, exact: bool) -> Solution:
    """The solution that a trace of the loop is, with E (B,) there; `exact` is what `Solver.exact` says."""
    status = trace.status
    if not bool(torch.isfinite(energy).all()):
        status = torch.where(torch.isinf(energy), int(Status.OVERFLOW), status)
        status = torch.where(torch.isnan(energy), int(Status.NON_FINITE), status).to(torch.int8)
    best = (status == Status.CONVERGED) & (exact if trace.exact is None else trace.exact)
    rest = trace.steps, trace.residual, trace.trajectory, trace.accepted
    return Solution(value, energy, status, best, *rest, solver, trace.candidates)


class FreeEnergy(NamedTuple):
    """F_beta(x, y): `value` (B,), the `method` that computed it, and the `solution` where one was sought."""

    value: Tensor
    method: str
    solution: Solution | None = None


def default_solver(problem: Problem, starts: int = _STARTS) -> Solver:
    """The solver that `infer` uses where none is named: the most exact that the energy's structure allows.

    A local one goes from several starts, unless the energy's own warm start says where to start.
    """
    solver, known = _one_run(problem), problem.structure
    startless = solver.direct or known.warm_start is not None or known.continuation is not None
    if starts < 2 or startless or solver.exact(problem):
        return solver
    return registered("solver")["MultiStart"](solver, starts)


def _one_run(problem: Problem) -> Solver:
    known, structure = registered("solver"), problem.structure
    if structure.minimiser is not None:
        return known["ClosedForm"]()
    if structure.table is not None or problem.domain.cardinality is not None:
        return known["Exhaustive"]()
    if structure.continuation is not None:
        return known["BeamSearch"]()
    if problem.domain.discrete:
        return known["Gibbs"](temperature=0.0, tol=0.0)
    if isinstance(problem.domain, Sparse):
        return known["OrthogonalMatchingPursuit" if structure.quadratic is not None else "GradientDescent"]()
    if structure.analysis is not None:
        return known["SplitBregman"]()
    if structure.penalty is not None:
        exact = known["ActiveSet"]()
        return exact if exact.supports(problem) else known["FISTA"]()
    if problem.domain.bounds is not None:
        return known["LBFGS"]()
    return known["GradientDescent"]()


def infer(
    energy: Energy,
    x: Any = None,
    y: Any = None,
    z: Any = None,
    *,
    over: str | tuple[str, ...],
    solver: Solver | None = None,
    adjoint: Adjoint | None = None,
    init: Any = None,
    generator: torch.Generator | None = None,
    sample_ids: Tensor | None = None,
    record: bool = False,
    compiled: bool = False,
    raise_on_failure: bool = False,
) -> Solution:
    """Minimise E(x, y, z) over one or several of its variables, for each sample of the batch on its own.

        ŷ, ẑ = argmin over `over` of E(x, y, z)

    Args:
        energy: the energy; it is not changed.
        x, y, z: the given variables, (B, ...) each.
        over: the free variable, or a tuple of them: "z", "y", ("y", "z").
        solver: how; None takes the most exact that the energy offers (`default_solver`). Where that is a local method,
            it runs from 8 starts and the lowest end is kept (`MultiStart`), unless there is one start to go from
            (`init`, or the energy's own warm start) or one run to follow (`record`, `compiled`, `Unroll`).
        adjoint: how gradients pass through the solution: `Detach` (default), `Unroll` or `Implicit`.
        init: where to start, in the shape of the free variable; None starts at the energy's own warm start (such as
            the answer of its encoder), or else at the domain's starting point.
        generator: source of randomness for stochastic solvers; without one, results repeat.
        sample_ids: (B,) int64, which stream of random numbers each sample uses; by default 0 … B − 1, and where no
            solver is named the same for all, so that a row gets what it would get in any other batch.
        record: keep u after every step.
        compiled: run the steps through torch.compile: seconds to compile, then faster.
        raise_on_failure: raise InferenceError where a sample did not converge.

    Returns:
        A `Solution`; failure is a status on it.

    Raises:
        ShapeError, DomainError: for variables of the wrong shape, type or device, or that contain NaN.
        UnsupportedError: if the solver cannot solve this problem, with the reason.

    >>> import lowland as ll
    >>> found = ll.infer(ll.energies.Ellipse(radii=(2.0, 1.0)), y=torch.tensor([[4.0, 0.0]]), over="z")
    >>> round(found.energy.item(), 3), Status(found.status.item()).name
    (4.0, 'CONVERGED')
    """
    check_instance(energy, Energy, "energy")
    if solver is not None:
        check_instance(solver, Solver, "solver")
    adjoint = adjoint or Detach()
    check_instance(adjoint, Adjoint, "adjoint")
    given = {"x": x, "y": y, "z": z}
    for name, value in given.items():
        check_finite(value, name)
    with torch.no_grad():
        problem = bind(energy, given, over)
        one = init is not None or record or compiled or isinstance(adjoint, Unroll)
        chosen = solver or default_solver(problem.head, starts=1 if one else _STARTS)
        _check_support(problem, chosen)
        start = _start(problem, init)
    if sample_ids is None and solver is None:
        sample_ids = torch.zeros(len(start), dtype=torch.int64)
    noise = _noise(problem, chosen, len(start), generator, sample_ids)
    task = Task(energy, given, problem.over, chosen, start, noise, record, compiled)
    trace, u = adjoint.solve(task)
    if trace.energy is not None and not task.inputs:
        value = trace.energy.to(u.dtype)
    else:
        final = bind(energy, given, problem.over, checked=True) if torch.is_grad_enabled() else problem
        value = final.value(adjoint.tie(task, u))
    found = _solution(problem.domain.unpack(u), value, trace, chosen, chosen.exact(problem.head))
    return found.raise_if_failed() if raise_on_failure else found


def solve(
    problem: Problem,
    solver: Solver,
    start: Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
    sample_ids: Tensor | None = None,
) -> Solution:
    """u* = argmin_u E(u) of a bound problem, from a flat start, without gradients: what `infer` does after its checks.

    For who solves many problems of one kind, such as a planner at each step, or holds a `Problem` already.

    Args:
        problem: from `lowland.solvers.bind`.
        solver: how.
        start: (B, D), in the domain; None for the energy's warm start, or else the domain's starting point.
        generator, sample_ids: as in `infer`.

    Raises:
        UnsupportedError: if the solver cannot solve this problem, with the reason.
        ShapeError: for a start of another size.

    >>> import lowland as ll
    >>> problem = ll.solvers.bind(ll.energies.Ellipse(radii=(2.0, 1.0)), {"y": torch.tensor([[4.0, 0.0]])}, "z")
    >>> round(ll.solve(problem, ll.solvers.LBFGS()).energy.item(), 3)
    4.0
    """
    with torch.no_grad():
        _check_support(problem, solver)
        start = _start(problem, None) if start is None else start.to(problem.dtype)
        if start.ndim != 2 or start.shape[1] != problem.size or (problem.given and len(start) != problem.batch):
            raise ShapeError(f"start must be ({problem.batch}, {problem.size}), but it is {tuple(start.shape)}.")
        trace = run(problem, solver, start, _noise(problem, solver, len(start), generator, sample_ids))
        energy = problem.value(trace.u) if trace.energy is None else trace.energy
    return _solution(problem.domain.unpack(trace.u), energy, trace, solver, solver.exact(problem.head))


def _check_support(problem: Problem, solver: Solver) -> None:
    support = solver.supports(problem.head)
    if not support:
        raise UnsupportedError(f"{type(solver).__name__} cannot solve this problem: {support.reason}.")


def _noise(
    problem: Problem, solver: Solver, batch: int, generator: torch.Generator | None, sample_ids: Tensor | None
) -> PerSampleRNG:
    if sample_ids is None:
        sample_ids = torch.arange(batch)
    elif sample_ids.shape != (batch,):
        raise ShapeError(f"sample_ids must have one number for each of {batch} samples, not {len(sample_ids)}.")
    if generator is None and solver.stochastic:
        generator = torch.Generator().manual_seed(0)
    return PerSampleRNG.from_generator(generator, sample_ids.to(problem.device), problem.dtype)


def _start(problem: Problem, init: Any) -> Tensor:
    if init is not None:
        check_finite(init, "init")
        start = problem.domain.pack(init, "init").detach().to(problem.dtype)
        if start.shape[0] != problem.batch and problem.given:
            raise OptionError(f"init has {start.shape[0]} samples, but the given variables have {problem.batch}.")
        outside = ~problem.domain.contains(start)
        if bool(outside.any()):
            raise DomainError(
                f"init leaves its domain {problem.domain!r} in {int(outside.sum())} of {len(start)} samples, the first "
                f"is sample {int(outside.nonzero()[0])}. Project it with domain.project, or pass no init."
            )
        return start
    if problem.head.structure.warm_start is not None:
        warm_start = problem.structure.warm_start
        assert warm_start is not None
        return problem.domain.project(warm_start())
    return problem.domain.start(problem.batch, problem.dtype, problem.device)


def free_energy(
    energy: Energy,
    y: Any = None,
    x: Any = None,
    beta: float = math.inf,
    *,
    solver: Solver | None = None,
    adjoint: Adjoint | None = None,
    samples: int = 256,
    generator: torch.Generator | None = None,
) -> FreeEnergy:
    """F_beta(x, y) = −1/β log E_{z∼q} exp(−β E(x, y, z)), by the best means that the energy offers.

    β = ∞ is min_z E; β → 0 (`beta=0`) is the mean of E over the prior q; β < 0 is risk-averse: it weighs the worst z
    most. q is normalised (uniform on a finite or bounded domain unless the energy has its own prior), since a bare
    integral over z may diverge. Source: LeCun et al., "A tutorial on energy-based learning" (2006), section 2.3,
    with q made explicit.

    Args:
        energy, y, x: as in `infer`.
        beta: inverse temperature, in 1 / units of E.
        solver, adjoint: for β = ∞ over a z that is neither finite nor in closed form.
        samples: draws of z for the Monte Carlo bound, where nothing exact is available. By Jensen's inequality the
            bound is above F for β > 0 and below it for β < 0 in the mean; at β = 0 it is unbiased.
        generator: for those draws.

    >>> import lowland as ll
    >>> ll.free_energy(ll.energies.Ellipse(), torch.tensor([[0.0, 4.0]])).value.detach()
    tensor([9.])
    """
    check_instance(energy, Energy, "energy")
    if not isinstance(beta, float | int) or math.isnan(beta):
        raise OptionError(f"beta must be a number, infinity included, but it is {beta!r}.")
    if samples < 1:
        raise OptionError(f"samples must be at least 1, but it is {samples}.")
    check_finite(x, "x")
    check_finite(y, "y")
    if "z" not in energy.domains:
        return FreeEnergy(energy(x=x, y=y), "no latent variable")
    energy.check(("z",), x=x, y=y)
    encoded = None if x is None else energy.encode(x)
    closed = energy.marginal(encoded, y, beta)
    if closed is not None:
        return FreeEnergy(closed, "closed form")
    problem = bind(energy, {"x": x, "y": y}, "z", graph=torch.is_grad_enabled())
    finite = problem.structure.table is not None or problem.domain.cardinality is not None
    if finite and not (energy.has_prior and beta != math.inf):
        table = _table(problem)
        if beta == math.inf:
            return FreeEnergy(table.min(dim=1).values, f"enumeration of {table.shape[1]} values")
        return FreeEnergy(soft_minimum(table, beta), f"log-sum-exp over {table.shape[1]} values")
    if beta == math.inf:
        found = infer(energy, x=x, y=y, over="z", solver=solver, adjoint=adjoint, generator=generator)
        return FreeEnergy(found.energy, f"minimisation by {type(found.solver).__name__}", found)
    noise = PerSampleRNG.from_generator(generator, torch.arange(problem.batch, device=problem.device), problem.dtype)
    values = problem.candidates(energy.prior(encoded, noise, samples))
    return FreeEnergy(soft_minimum(values, beta), f"Monte Carlo bound with {samples} samples")


def _table(problem: Problem) -> Tensor:
    if problem.structure.table is not None:
        return problem.structure.table()
    elements = problem.domain.elements(problem.dtype, problem.device)
    return problem.candidates(elements.expand(problem.batch, *elements.shape))
