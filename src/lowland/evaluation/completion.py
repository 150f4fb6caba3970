"""Completion: the hidden part of an image, inferred by an energy of the whole image."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.compose import Clamped, Sum
from lowland.inference import infer
from lowland.solvers.alternation import Alternation
from lowland.solvers.gradient_descent import GradientDescent
from lowland.solvers.lbfgs import LBFGS
from lowland.solvers.proximal import FISTA


def complete(energy: Energy, y: Tensor, mask: Tensor, start: float = 0.3, rounds: int = 100) -> Tensor:
    """Images whose hidden part minimises an energy while the known part stays as it is; see `Clamped`.

    An energy of y alone is minimised by L-BFGS. One with a sparse code z, or a sum of which one term has one, is
    minimised over z by FISTA and over y by gradient descent in turn, from z = 0.

    Args:
        energy: E(y) or E(y, z), with E convex in y.
        y: (N, D); what it has where `mask` is 0 is not used.
        mask: (D,), 1 where a value is known and 0 where it is hidden.
        start: value of the hidden part at first.
        rounds: the most rounds over z and y in turn.

    >>> from lowland.energies import Smoothness
    >>> complete(Smoothness(1, 3), torch.tensor([[0.0, 9.0, 2.0]]), torch.tensor([1.0, 0.0, 1.0])).round(decimals=3)
    tensor([[0., 1., 2.]])
    """
    clamped, x = Clamped(energy), {"known": mask * y, "mask": mask.expand_as(y)}
    first = torch.full_like(y, start)
    if "z" not in energy.domains:
        found = infer(clamped, x=x, over="y", solver=LBFGS(max_steps=200), init=first)
        return clamped.complete(x, found.value)
    descent = GradientDescent(1 / curvature_bound(energy, y), max_steps=5, tol=None)
    solver = Alternation({"z": FISTA(max_steps=30), "y": descent}, max_steps=rounds, tol=1e-3)
    code = y.new_zeros(len(y), energy.domain("z").size)
    found = infer(clamped, x=x, over=("y", "z"), solver=solver, init={"y": first, "z": code})
    return clamped.complete(x, found.value["y"])


def curvature_bound(energy: Energy, y: Tensor) -> float:
    """A bound on the curvature in y for given z: what the energy knows, added up over the terms of a sum.

    An energy that knows none counts as 1, the curvature of ½‖y − W z‖².

    >>> from lowland.energies import Smoothness, SparseCoding
    >>> curvature_bound(SparseCoding(4, 8) + 0.5 * Smoothness(2, 2), torch.zeros(1, 4))
    9.0
    """
    if isinstance(energy, Sum):
        terms = {name: term for name, term in energy.terms.items() if isinstance(term, Energy)}
        return sum(energy.weights[name] * curvature_bound(term, y) for name, term in terms.items())
    bound = energy.structure(("y",), None, y, None).bound()
    return 1.0 if bound is None else float(bound)


def hidden_error(completed: Tensor, y: Tensor, mask: Tensor) -> float:
    """Mean squared error of the values that were hidden, where the mask (D,) is 0.

    >>> hidden_error(torch.tensor([[1.0, 5.0]]), torch.tensor([[1.0, 3.0]]), torch.tensor([1.0, 0.0]))
    4.0
    """
    return (completed - y)[:, mask == 0].square().mean().item()
