"""How the error of an answer falls with the steps of descent that look for it (system E7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import OptionError
from lowland.inference import infer
from lowland.solvers.gradient_descent import GradientDescent


class Descended(NamedTuple):
    """How descents went.

    Attributes:
        errors: mean squared error of an entry of y after each number of steps.
        answers: (len(marks), B, D), the answers then.
        ran_away: (len(marks), B), rows whose slope had become steeper than at their start, so that E has no minimum
            where they went. Their answer is the point of least slope on their way.
    """

    errors: dict[int, float]
    answers: Tensor
    ran_away: Tensor


def descended(energy: Energy, x: Tensor, y: Tensor, marks: Sequence[int], momentum: float = 0.9) -> Descended:
    """Answers after so many steps of monotone gradient descent from the domain's starting point.

    A learned E need not be bounded from below on problems unlike those of training. A row for which it is not is seen
    without the true answer, by the slope ‖∇_y E‖, and given the point at which it had most nearly come to rest.

    Args:
        energy: E(x, y), trained so that a step size of 1 suits it, as by `lowland.shaping.Descent`.
        x, y: problems and their exact answers.
        marks: numbers of steps, at least 1 each.
        momentum: of the descent.

    Raises:
        OptionError: without marks, or for one below 1.

    >>> from lowland.energies.factor_graph import FactorGraph
    >>> case = FactorGraph.reference_case()
    >>> found = descended(case.energy, case.given["x"], case.minimiser, marks=(1, 100))
    >>> found.errors[100] < 1e-6, found.answers.shape
    (True, torch.Size([2, 2, 3]))
    """
    if not marks or min(marks) < 1:
        raise OptionError(f"marks must be numbers of steps of at least 1, not {tuple(marks)}.")
    solver = GradientDescent(1.0, momentum=momentum, max_steps=max(marks), tol=None, monotone=True)
    start = energy.domain("y").start(len(y), y.dtype, y.device)
    with torch.no_grad():
        found = infer(energy, x=x, over="y", solver=solver, init=energy.domain("y").unpack(start), record=True)
    assert found.trajectory is not None
    path = found.trajectory.detach()
    slopes = torch.stack([_slope(energy, x, path[mark]) for mark in (0, *marks)])
    away = ~(slopes[1:] <= slopes[0])
    answers = path[list(marks)].clone()
    rows = away.any(dim=0).nonzero()[:, 0]
    if len(rows):
        along = torch.stack([_slope(energy, x[rows], one) for one in path[: max(marks) + 1, rows]])
        for index, mark in enumerate(marks):
            best = path[along[: mark + 1].nan_to_num(nan=torch.inf).argmin(dim=0), rows]
            answers[index, rows] = torch.where(away[index, rows, None], best, answers[index, rows])
    truth = energy.domain("y").pack(y)
    errors = {mark: squared_error(answer, truth) for mark, answer in zip(marks, answers, strict=True)}
    return Descended(errors, answers, away)


def _slope(energy: Energy, x: Tensor, y: Tensor) -> Tensor:
    """‖∇_y E‖ of each row."""
    with torch.enable_grad():
        free = y.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(x=x, y=energy.domain("y").unpack(free)).sum(), free)
    return gradient.flatten(1).norm(dim=1)


def squared_error(found: Tensor, truth: Tensor) -> float:
    """The mean squared error of an entry.

    >>> squared_error(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    2.0
    """
    return (found - truth).square().mean().item()


def whole_boards(found: Tensor, truth: Tensor, values: int) -> float:
    """The percentage of Sudokus (B, N³) whose every cell holds the right value, by the largest entry of a cell.

    >>> whole_boards(torch.tensor([[0.9, 0.3], [0.1, 0.8]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 2)
    50.0
    """
    held = [one.unflatten(1, (-1, values)).argmax(dim=2) for one in (found, truth)]
    return 100 * (held[0] == held[1]).all(dim=1).double().mean().item()
