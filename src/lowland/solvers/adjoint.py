"""How gradients pass through a solution u* = argmin_u E(u; θ): detach, unroll, implicit. Only this file makes graphs.

θ is everything the energy depends on that requires gradients: its parameters and the given variables.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lowland.energies.base import Energy
from lowland.errors import DifferentiationError, OptionError
from lowland.solvers.base import Problem, Solver, bind
from lowland.solvers.loop import Trace, run
from lowland.tensors import PerSampleRNG, tree_leaves, tree_map


class Task(NamedTuple):
    """The arguments of one call of `lowland.infer`, under the same names; `start` is flat, (B, D)."""

    energy: Energy
    given: dict[str, Any]
    over: tuple[str, ...]
    solver: Solver
    start: Tensor
    noise: PerSampleRNG
    record: bool = False
    compiled: bool = False

    @property
    def inputs(self) -> list[Tensor]:
        """θ: the given tensors and parameters that require gradients; none if gradients are disabled."""
        if not torch.is_grad_enabled():
            return []
        return [tensor for tensor in [*tree_leaves(self.given), *self.energy.parameters()] if tensor.requires_grad]

    def constant(self) -> Trace:
        """The solution without any graph."""
        with torch.no_grad():
            # A compiled step takes no gradient of the weights anyway, and would be compiled again for a copy.
            energy = self.energy if self.compiled else _frozen(self.energy, {})
            problem = bind(energy, self.given, self.over, checked=True)
            return run(problem, self.solver, self.start, self.noise, self.record, self.compiled)


def _frozen(module: Any, seen: dict[int, Any]) -> Any:
    """A copy of the module that shares its tensors but requires no gradients of weights: cheaper, with less memory."""
    if id(module) not in seen:
        twin = seen[id(module)] = copy.copy(module)
        twin.__dict__["_parameters"] = {k: v if v is None else v.detach() for k, v in module._parameters.items()}
        twin.__dict__["_modules"] = {k: v if v is None else _frozen(v, seen) for k, v in module._modules.items()}
    return seen[id(module)]


class Adjoint:
    """How a solution depends on θ."""

    def solve(self, task: Task) -> tuple[Trace, Tensor]:
        """The trace of the loop, and u* (B, D) with the dependence on θ that this adjoint gives it."""
        raise NotImplementedError

    def tie(self, task: Task, u: Tensor) -> Tensor:
        """The u to insert into E(u; θ) for the free energy F(θ) = E(u*; θ); by default as `solve` returned it."""
        return u


class _Raise(torch.autograd.Function):
    """Zero, whose derivative raises an error: added to a first derivative, it forbids the second.

    It is connected to every input, since a mixed derivative such as ∂²F/∂y∂θ involves two different ones.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, *inputs: Tensor) -> Tensor:
        return torch.zeros_like(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise DifferentiationError(
            "The derivative through this solution is of too high an order. Detach gives the first, by the "
            "envelope theorem; pass adjoint=ll.solvers.Implicit() for the second, or Unroll() for any."
        )


class _Envelope(torch.autograd.Function):
    """The identity on u*: F depends on it only to second order, since ∂E/∂u = 0 there; a second derivative raises."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        return u.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        inputs = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return (None, *[None] * len(inputs))
        return (None, *[_Raise.apply(tensor, *inputs) for tensor in inputs])


class Detach(Adjoint):
    """u* as a constant. This suffices for the gradient of F(θ) = min_u E(u; θ), which is ∂E/∂θ at u*.

    This is the envelope theorem (Danskin 1967). A second derivative through F would be silently wrong, so it
    raises `DifferentiationError`.
    """

    def solve(self, task: Task) -> tuple[Trace, Tensor]:
        trace = task.constant()
        return trace, trace.u

    def tie(self, task: Task, u: Tensor) -> Tensor:
        inputs = task.inputs
        return cast(Tensor, _Envelope.apply(u, *inputs)) if inputs else u


class Unroll(Adjoint):
    """Back-propagation through the solver's own steps, as LISTA does (Gregor & LeCun 2010).

    Args:
        last: number of last steps to differentiate through, the earlier ones being a warm start; None for all.
        checkpointing: keep only the states between steps in memory, and recompute each step in the backward pass.
    """

    def __init__(self, last: int | None = None, checkpointing: bool = False) -> None:
        if last is not None and last < 1:
            raise OptionError(f"last must be at least 1, or None for all steps, but it is {last}.")
        self.last, self.checkpointing = last, checkpointing

    def solve(self, task: Task) -> tuple[Trace, Tensor]:
        if self.last is not None and self.last < task.solver.max_steps:
            early, late = copy.copy(task.solver), copy.copy(task.solver)
            early.max_steps, late.max_steps = task.solver.max_steps - self.last, self.last
            task = task._replace(solver=late, start=task._replace(solver=early, record=False).constant().u)
        problem = bind(task.energy, task.given, task.over, graph=True)
        step = functools.partial(checkpoint, task.solver.step, use_reentrant=False) if self.checkpointing else None
        trace = run(problem, task.solver, task.start, task.noise, task.record, step=step)
        return trace._replace(u=trace.u.detach()), trace.u


class Implicit(Adjoint):
    """The implicit function theorem at a stationary point: du*/dθ = −H⁻¹ ∂²E/∂u∂θ, H = ∂²E/∂u², by conjugate gradient.

    If u* has exact zeros under a non-smooth penalty, or lies on a bound of its domain, the equation is restricted to
    the other coordinates, in which E is smooth: the derivative of a sparse code lives on its support. Also gives second
    derivatives, since the linear solve is itself differentiable. Source: Bai, Kolter & Koltun (2019), equation 6;
    Bertrand et al. (2020) for the restriction.

    Args:
        max_steps, tol: budget and relative residual of conjugate gradient.
        damping: added to the diagonal of H, for solutions that are not strict minima.

    Raises:
        OptionError: if max_steps is below 1, or tol or damping is negative.
    """

    def __init__(self, max_steps: int = 200, tol: float = 1e-6, damping: float = 0.0) -> None:
        if max_steps < 1 or not tol >= 0 or not damping >= 0:
            raise OptionError(
                "Implicit needs max_steps of at least 1 and tol and damping of at least 0, but they are "
                f"{max_steps}, {tol} and {damping}."
            )
        self.max_steps, self.tol, self.damping = max_steps, tol, damping

    def solve(self, task: Task) -> tuple[Trace, Tensor]:
        trace, inputs = task.constant(), task.inputs
        if not inputs:
            return trace, trace.u
        with torch.no_grad():
            mask = _free(bind(task.energy, task.given, task.over), trace.u)
        pure = _PureEnergy(task.energy, task.given, task.over)
        return trace, cast(Tensor, _Stationary.apply(trace.u, self, pure, mask, *inputs))

    def conjugate_gradient(self, product: Any, right: Tensor) -> Tensor:
        """Solve H w = r for each sample, (B, D); rows that have converged stop moving."""
        w = torch.zeros_like(right)
        residual, direction = right.clone(), right.clone()
        square = residual.square().sum(1, keepdim=True)
        goal = square * self.tol**2
        for _ in range(self.max_steps):
            active = (square > goal) & (square > 0)
            if not bool(active.any()):
                break
            image = product(direction) + self.damping * direction
            curvature = (direction * image).sum(1, keepdim=True)
            step = torch.where(active & (curvature.abs() > 0), square / torch.where(curvature == 0, 1, curvature), 0)
            w = w + step * direction
            residual = residual - step * image
            after = residual.square().sum(1, keepdim=True)
            direction = residual + torch.where(active, after / torch.where(square == 0, 1, square), 0) * direction
            square = after
        return w


def _free(problem: Problem, u: Tensor) -> Tensor:
    """Coordinates away from the kinks of a penalty and the bounds of the domain, (B, D) of 0 or 1."""
    free = torch.ones_like(u)
    if problem.structure.penalty is not None:
        free = free * (u != 0)
    bounds = problem.domain.bounds
    if bounds is not None:
        free = free * ((u > bounds[0]) & (u < bounds[1]))
    return free.to(u.dtype)


class _PureEnergy:
    """E(u, θ) as a pure function of tensors, so that derivatives at fixed u and at fixed θ can be taken separately."""

    def __init__(self, energy: Energy, given: dict[str, Any], over: tuple[str, ...]) -> None:
        self.energy, self.given = energy, given
        self.names, self.domain = energy.over(over)

    def gradient(self, u: Tensor, inputs: list[Tensor]) -> Tensor:
        """∂E/∂u with its graph. Away from the kinks of a penalty E is smooth."""
        rest = iter(inputs)
        given = {name: tree_map(lambda t: next(rest) if t.requires_grad else t, v) for name, v in self.given.items()}
        own = {name: next(rest) for name, parameter in self.energy.named_parameters() if parameter.requires_grad}
        value = self.domain.unpack(u)
        given |= dict(zip(self.names, [value] if len(self.names) == 1 else value.values(), strict=True))
        total = torch.func.functional_call(self.energy, own, kwargs=given).sum()
        return torch.autograd.grad(total, u, create_graph=True)[0]


def _aliases(*tensors: Tensor) -> list[Tensor]:
    """The same values as new graph nodes, so that a derivative with respect to them stops there."""
    return [t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in tensors]


class _Stationary(torch.autograd.Function):
    """u*(θ): the value that a solver found, with the derivative by the implicit function theorem."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, adjoint: Implicit, pure: _PureEnergy, mask: Tensor, *inputs: Tensor) -> Tensor:
        ctx.adjoint, ctx.pure = adjoint, pure
        out = u.clone()
        ctx.save_for_backward(out, mask, *inputs)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        u, mask, *inputs = ctx.saved_tensors
        again = torch.is_grad_enabled()
        w = _Solve.apply(grads[0] * mask, ctx.adjoint, ctx.pure, mask, u, *inputs)
        with torch.enable_grad():
            point, *theta = _aliases(u, *inputs)
            scalar = -(ctx.pure.gradient(point, theta) * mask * w).sum()
            found = torch.autograd.grad(scalar, theta, create_graph=again, allow_unused=True)
        return (None, None, None, None, *found)


class _Solve(torch.autograd.Function):
    """w = H(u, θ)⁻¹ v on the free coordinates, differentiable in v, u and θ."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, adjoint: Implicit, pure: _PureEnergy, mask: Tensor, u: Tensor, *inputs: Tensor
    ) -> Tensor:
        with torch.enable_grad():
            point, *theta = _aliases(u.detach(), *(t.detach() for t in inputs))
            gradient = pure.gradient(point, theta)

        def product(direction: Tensor) -> Tensor:
            if not gradient.requires_grad:
                return torch.zeros_like(direction)
            return torch.autograd.grad(gradient, point, direction * mask, retain_graph=True)[0] * mask

        w = adjoint.conjugate_gradient(product, v.detach())
        ctx.adjoint, ctx.pure = adjoint, pure
        ctx.save_for_backward(w, mask, u, *inputs)
        return w

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        w, mask, u, *inputs = ctx.saved_tensors
        forbid = torch.is_grad_enabled()
        with torch.no_grad():
            back = _Solve.apply(grads[0] * mask, ctx.adjoint, ctx.pure, mask, u, *inputs)
        with torch.enable_grad():
            point, *theta = _aliases(u.detach(), *(t.detach() for t in inputs))
            gradient = ctx.pure.gradient(point, theta)
            (image,) = torch.autograd.grad(gradient, point, w * mask, create_graph=True)
            found: Any = [None] * (1 + len(theta))
            if image.requires_grad:
                found = torch.autograd.grad(-(image * mask * back).sum(), [point, *theta], allow_unused=True)
        if forbid:
            found = [
                _Raise.apply(tensor, u, *inputs) + (0 if part is None else part)
                for tensor, part in zip([u, *inputs], found, strict=True)
            ]
        return (back, None, None, None, *found)
