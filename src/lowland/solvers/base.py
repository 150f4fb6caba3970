"""Solvers and the `Problem` they solve: an energy with some variables given and the others flattened into u.

A solver is `init` and `step`, both pure functions of tensors whose first axis is the sample, so that the one loop
(`loop.py`) can drop solved samples, record, unroll or compile without the solver knowing.
"""

from __future__ import annotations

import copy
import enum
import functools
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lowland.domains import Domain
from lowland.energies.base import VARIABLES, Energy, ReferenceCase, check_output
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG, batch_size, repeat_rows, take, tree_leaves, tree_map


class Problem:
    """An energy with its given variables bound, as a function of its flat free variable u (B, D).

    Made by `bind`. `value`, `value_and_gradient` and `smooth` are all that a first-order solver needs; `structure`
    holds what else the energy knows. With `graph` set (by an adjoint, never by a solver) every result stays
    differentiable.

    Attributes:
        over: names of the free variables.
        domain: domain of u.
        structure: what the energy knows in closed form; see `lowland.energies.structure.Structure`.
        batch, size: B and D.
    """

    def __init__(
        self,
        energy: Energy,
        given: dict[str, Any],
        over: tuple[str, ...],
        domain: Domain,
        batch: int,
        graph: bool = False,
    ) -> None:
        self.model, self.given, self.over, self.domain, self.batch, self.graph = (
            energy,
            given,
            over,
            domain,
            batch,
            graph,
        )
        self.size = domain.size
        self.compiling = False
        weight = next((tensor for tensor in energy.parameters() if tensor.is_floating_point()), None)
        # What is given has the dtype of the weights; where there are none, it and the buffers may differ.
        others = [*tree_leaves(given), *energy.buffers()] if weight is None else [weight]
        tensors = [tensor for tensor in others if tensor.is_floating_point()]
        dtypes = [tensor.dtype for tensor in tensors]
        self.dtype = functools.reduce(torch.promote_types, dtypes) if dtypes else torch.get_default_dtype()
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self._structure: Structure | None = None
        self._ones: Tensor | None = None
        self._spectrum: tuple[Tensor, Tensor] | None = None

    @property
    def structure(self) -> Structure:
        if self._structure is None:
            x, y, z = (self.given.get(name) for name in VARIABLES)
            self._structure = self.model.structure(self.over, x, y, z)
        return self._structure

    @functools.cached_property
    def head(self) -> Problem:
        """Two rows of the problem, enough to find out its kind without computing the structure for all rows."""
        return self.take(torch.arange(min(self.batch, 2), device=self.device))

    def unpack(self, u: Tensor) -> dict[str, Any]:
        """The free variables by name, in their own shapes."""
        value = self.domain.unpack(u)
        return {next(iter(self.over)): value} if len(self.over) == 1 else value

    def value(self, u: Tensor) -> Tensor:
        """E at u, (B, D) → (B,)."""
        variables = {**self.given, **self.unpack(u)}
        return self.model.energy(variables.get("x"), variables.get("y"), variables.get("z"))

    def value_and_gradient(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """E (B,) and ∂E/∂u (B, D)."""
        return self._differentiate(self.value, u)

    def smooth(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Value (B,) and gradient (B, D) of the smooth part of E: everything but `structure.penalty`."""
        quadratic, penalty = self.structure.quadratic, self.structure.penalty
        if quadratic is not None:
            product = u @ quadratic.gram
            value = (0.5 * product - quadratic.linear).mul(u).sum(dim=1) + quadratic.constant
            return value, product - quadratic.linear
        if penalty is None:
            return self.value_and_gradient(u)
        return self._differentiate(lambda point: self.value(point) - penalty.value(point), u)

    def smooth_prox(self, v: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        """Returns u − v (B, D) for u = argmin f(u) + (ρ/2)‖u − v‖², and f(u) (B,), with f the smooth part and ρ (B, 1).

        Taken from the energy's structure, or from the quadratic by an eigendecomposition of G, computed once.
        """
        known, quadratic = self.structure.smooth_prox, self.structure.quadratic
        if known is not None:
            return known(v, rho)
        assert quadratic is not None
        right = quadratic.linear + rho * v
        if self.graph:  # eigenvectors of a repeated eigenvalue have no derivative
            ridge = rho[:, :, None] * torch.eye(self.size, dtype=v.dtype, device=v.device)
            u = torch.linalg.solve(quadratic.gram + ridge, right[:, :, None])[:, :, 0]
        else:
            values, vectors = self._spectrum = self._spectrum or tuple(torch.linalg.eigh(quadratic.gram))
            u = (right @ vectors / (values.clamp_min(0) + rho)) @ vectors.T
        return u - v, self.smooth(u)[0]

    def _differentiate(self, function: Any, u: Tensor) -> tuple[Tensor, Tensor]:
        if self.compiling:

            def total(point: Tensor) -> tuple[Tensor, Tensor]:
                value = function(point)
                return value.sum(), value

            gradient, value = torch.func.grad(total, has_aux=True)(u)
            return value, gradient
        with torch.enable_grad():
            if not (self.graph and u.requires_grad):
                u = u.detach().requires_grad_()
            value = function(u)
            if not value.requires_grad:
                return value, torch.zeros_like(u)
            if self._ones is None or self._ones.shape != value.shape:
                self._ones = torch.ones_like(value)
            (gradient,) = torch.autograd.grad(value, u, self._ones, create_graph=self.graph, allow_unused=True)
        if gradient is None:
            gradient = torch.zeros_like(u)
        return (value, gradient) if self.graph else (value.detach(), gradient)

    def residual(self, u: Tensor, gradient: Tensor, step: float = 1.0) -> Tensor:
        """(B,) ‖u − project(u − step · gradient)‖∞ / step, which is ‖gradient‖∞ away from the bounds."""
        if not self.domain.constrained:
            return gradient.abs().amax(dim=1)
        return (u - self.domain.project_iterate(u - step * gradient)).abs().amax(dim=1) / step

    def candidates(self, points: Tensor) -> Tensor:
        """E of N candidates per sample, (B, N, D) → (B, N). x is encoded once and only then repeated."""
        known, count = self.structure.candidates, points.shape[1]
        if known is not None:
            return known(points)
        return self.repeat(count).value(points.reshape(-1, self.size)).reshape(-1, count)

    def repeat(self, times: int) -> Problem:
        """The problem with each of its rows repeated `times` times."""
        return Problem(
            self.model, repeat_rows(self.given, times), self.over, self.domain, self.batch * times, self.graph
        )

    def take(self, rows: Tensor) -> Problem:
        """The problem restricted to some rows; what the rows share is kept and not recomputed."""
        chosen = Problem(self.model, take(self.given, rows), self.over, self.domain, len(rows), self.graph)
        chosen.compiling = self.compiling
        if self._structure is not None and self._structure.quadratic is not None:
            chosen._structure, chosen._spectrum = self._structure.take(rows), self._spectrum
        return chosen

    def double(self) -> Problem:
        """The problem in float64, with the same weights and values: its structure is then computed in float64 too."""
        if self.dtype == torch.float64:
            return self
        model = copy.deepcopy(self.model).double()
        given = tree_map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, self.given)
        return Problem(model, given, self.over, self.domain, self.batch)

    def part(self, name: str, u: Tensor) -> Problem:
        """The problem over one of several free variables, with the others fixed at their values in u."""
        values = self.unpack(u)
        given = self.given | {other: value for other, value in values.items() if other != name}
        return Problem(self.model, given, (name,), self.model.domain(name), self.batch, self.graph)


def bind(
    energy: Energy, given: dict[str, Any], over: str | tuple[str, ...], graph: bool = False, checked: bool = False
) -> Problem:
    """The problem of minimising an energy over some variables with the others given. x is encoded here, once.

    Args:
        energy: E(x, y, z).
        given: values of the variables that are not free; None values are ignored.
        over: name or names of the free variables.
        graph: keep all results differentiable. Adjoints set it.
        checked: the same energy and values have been bound before and need no second check.

    >>> from lowland.energies.ellipse import Ellipse
    >>> problem = bind(Ellipse(), {"y": torch.zeros(5, 2)}, over="z")
    >>> problem.batch, problem.size, problem.value(torch.zeros(5, 1)).shape
    (5, 1, torch.Size([5]))
    """
    names, domain = energy.over(over)
    given = {name: value for name, value in given.items() if value is not None}
    clash = sorted(set(names) & set(given))
    if clash:
        raise OptionError(
            f"{clash[0]} is both given and free. To start from a value of a free variable, pass it as init=."
        )
    if not checked:
        energy.check(names, **{name: given.get(name) for name in VARIABLES})
    batch = batch_size(**given) if given else 1
    if "x" in given:
        given = given | {"x": energy.encode(given["x"])}
    problem = Problem(energy, given, names, domain, batch, graph)
    if checked:
        return problem
    with torch.no_grad():
        # Two rows are enough to detect a sum over the batch.
        head = problem.head
        check_output(energy, head.value(problem.domain.start(head.batch, problem.dtype, problem.device)), head.batch)
    return problem


class Status(enum.IntEnum):
    """How inference ended for one sample, and what that certifies."""

    CONVERGED = 0
    """The solver's residual is at most `tol`: u is stationary, or has a certificate; see `Solution.exact`."""
    MAX_STEPS = 1
    """The budget is used up; the residual says how far u is from stationary. Samplers always end like this."""
    NON_FINITE = 2
    """A NaN or an infinity occurred; u is the last finite value."""
    COLLAPSED = 3
    """Candidates or draws no longer differ, even after the last restart. Nothing else is known about u."""
    WARM_START = 4
    """The unchecked output of an encoder."""
    OVERFLOW = 5
    """E at u overflows its dtype: scale the data down, or use float64."""


class Info(NamedTuple):
    """What a step reports to the loop.

    `energy` (B,), before or after the step, to check that it is finite; `residual` (B,), the distance from stationarity
    to compare with `tol`, or None for samplers and warm starts; `accepted` (B,) of 0 or 1, for samplers with a
    Metropolis test; `exact` (B,) of booleans, for solvers that certify some samples and others not; `candidates`
    (B, N, D), for solvers that compare N answers at the end.
    """

    energy: Tensor
    residual: Tensor | None
    accepted: Tensor | None = None
    exact: Tensor | None = None
    candidates: Tensor | None = None


class Support(NamedTuple):
    """Whether a solver supports a problem, and the reason if not."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


class State(Protocol):
    """A named tuple of tensors, each with the sample as first axis; `u` (B, D) is the current solution.

    A part may be None, or a dictionary of such parts.
    """

    @property
    def u(self) -> Tensor: ...


class Solver:
    """A way to minimise an energy over its free variable.

    Args:
        max_steps: budget of steps.
        tol: a sample has converged if its residual is at most this; None never stops early. The residual of a
            first-order method is the largest entry of the (projected, proximal) gradient, in units of E per unit of u.
        check_every: steps between checks of the residuals; solved samples leave the batch only then, so that a sample
            stops at the same step alone and in a batch.
    """

    stochastic = False
    direct = False
    """Solves in one step; `Info.energy` belongs to the returned u and is not aliased."""
    knows_energy = False
    """`Info.energy` belongs to the returned u, so it need not be recomputed."""

    def __init__(self, max_steps: int, tol: float | None = None, check_every: int = 10) -> None:
        if max_steps < 0 or int(max_steps) != max_steps:
            raise OptionError(f"max_steps must be a whole number of at least 0, but it is {max_steps}.")
        if tol is not None and not tol >= 0:
            raise OptionError(f"tol must be a number of at least 0, or None to use the whole budget, but it is {tol}.")
        if check_every < 1:
            raise OptionError(f"check_every must be at least 1, but it is {check_every}.")
        self.max_steps, self.tol, self.check_every = int(max_steps), tol, check_every

    def supports(self, problem: Problem) -> Support:
        """Whether this solver supports the problem; by default any with a continuous variable and no penalty."""
        return continuous(problem)

    @property
    def verdict(self) -> Status:
        """The status of a sample whose residual is at most `tol`."""
        return Status.CONVERGED

    def exact(self, problem: Problem) -> bool:
        """Whether a converged sample is at the global minimum; if E is convex, every stationary point is.

        A solver that knows it of each sample says so in `Info.exact` instead.
        """
        return problem.structure.convex

    def init(self, problem: Problem, u: Tensor) -> Any:
        """The initial state, a named tuple with `u` = the start (B, D)."""
        raise NotImplementedError

    def draw(self, problem: Problem, noise: PerSampleRNG) -> Any:
        """The random numbers of one step, drawn outside the step so that the step is a pure function."""
        return None

    def step(self, problem: Problem, state: Any, drawn: Any) -> tuple[Any, Info]:
        """One step for all samples: the next state, and an `Info` for the loop."""
        raise NotImplementedError

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in sorted(vars(self).items()) if not k.startswith("_"))
        return f"{type(self).__name__}({options})"


def continuous(problem: Problem, penalty: bool = False, does: str = "follows gradients") -> Support:
    """The check shared by most solvers of continuous variables; `does` names what needs a continuous variable."""
    if problem.domain.discrete:
        return Support(False, f"it {does}, but {problem.domain!r} is discrete")
    if problem.structure.penalty is not None and not penalty:
        return Support(False, "the energy has a non-smooth penalty: use ISTA, FISTA or CoordinateDescent")
    return Support(True)


class Point(NamedTuple):
    """The state of a solver that stores only u (B, D)."""

    u: Tensor


class Direct(Solver):
    """A method that needs a single step, which by default ends at the global minimum with residual 0."""

    direct = True

    def __init__(self) -> None:
        super().__init__(max_steps=1, tol=0.0, check_every=1)

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def exact(self, problem: Problem) -> bool:
        return True

    def answer(self, problem: Problem, found: Tensor, start: Tensor) -> tuple[Point, Info]:
        """What `step` returns for the answer (B, D), or (1, D) if it is the same for all samples."""
        u = found.to(start.dtype).expand_as(start).clone()
        return Point(u), Info(problem.value(u), torch.zeros_like(start[:, 0]))


class SolverCase(NamedTuple):
    """A solver and a problem that it solves: it reaches the minimum `case.minimum` to within `tolerance`."""

    solver: Solver
    case: ReferenceCase
    tolerance: float = 1e-3
