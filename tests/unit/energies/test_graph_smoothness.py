"""Smoothness on a graph: its minimum is the solution of a linear system, and so are the gradients through it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.energies.compose import Clamped, Sum
from lowland.energies.graph_smoothness import LaplacianSmoothness, WeightedDistance
from lowland.errors import DomainError, OptionError, ShapeError
from lowland.solvers.adjoint import Implicit
from lowland.solvers.lbfgs import LBFGS

NODES, COLUMNS = 12, 2
EXACT = LBFGS(max_steps=500, tol=1e-9)


def graph() -> tuple[Tensor, Tensor]:
    """A ring with chords, and weights."""
    draw = torch.Generator().manual_seed(0)
    ring = torch.stack([torch.arange(NODES), (torch.arange(NODES) + 1) % NODES])
    chords = torch.tensor([[0, 2, 5], [6, 9, 11]])
    edges = torch.cat([ring, chords], dim=1)
    return edges, torch.rand(edges.shape[1], generator=draw, dtype=torch.float64) + 0.2


def laplacian(edges: Tensor, weights: Tensor) -> Tensor:
    table = torch.zeros(NODES, NODES, dtype=weights.dtype).index_put((edges[0], edges[1]), weights)
    table = table + table.T
    return table.sum(dim=1).diag() - table


def labels() -> Tensor:
    return torch.randn(1, NODES, COLUMNS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_energy_is_the_sum_over_ordered_pairs() -> None:
    edges, weights = graph()
    energy, y = LaplacianSmoothness(edges, NODES, COLUMNS, weights).double(), labels()
    table = torch.zeros(NODES, NODES).double().index_put((edges[0], edges[1]), energy.weights.detach())
    apart = (y[0, :, None] - y[0, None]).square().sum(dim=2)
    torch.testing.assert_close(energy(y=y).detach(), 0.5 * ((table + table.T) * apart).sum()[None])
    largest = torch.linalg.eigvalsh(2 * laplacian(edges, energy.weights.detach()))[-1]
    bound = energy.structure(("y",), None, None, None).bound()
    assert largest <= bound <= 2 * largest


def test_held_labels_spread_as_the_linear_system_says() -> None:
    edges, weights = graph()
    energy = Clamped(LaplacianSmoothness(edges, NODES, COLUMNS, weights)).double()
    held = torch.tensor([0, 4, 9])
    mask = torch.zeros(1, NODES, COLUMNS).double()
    mask[:, held] = 1
    found = ll.infer(energy, x={"known": labels() * mask, "mask": mask}, over="y", solver=EXACT, raise_on_failure=True)
    free = torch.tensor([node for node in range(NODES) if node not in held])
    table = laplacian(edges, energy.inner.weights.detach())
    wanted = torch.linalg.solve(table[free][:, free], -table[free][:, held] @ labels()[0, held])
    torch.testing.assert_close(found.value[0, free], wanted, atol=1e-6, rtol=0)


def weighted() -> tuple[Sum, dict[str, Tensor]]:
    edges, weights = graph()
    energy = Sum(
        {"smooth": LaplacianSmoothness(edges, NODES, COLUMNS, weights), "labels": WeightedDistance(NODES, COLUMNS)}
    )
    trust = torch.rand(1, NODES, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    trust[:, 5:] = 0
    return energy.double(), {"known": labels(), "trust": trust}


def exact(weights: Tensor, known: Tensor, trust: Tensor) -> Tensor:
    """(2 L + C) y = C k, from ∂E/∂y = 0."""
    table = 2 * laplacian(graph()[0], weights) + trust[0].diag()
    return torch.linalg.solve(table, trust[0][:, None] * known[0])


def test_weighted_labels_spread_as_the_linear_system_says() -> None:
    energy, x = weighted()
    found = ll.infer(energy, x=x, over="y", solver=EXACT, raise_on_failure=True)
    own = energy.terms["smooth"].weights.detach()
    torch.testing.assert_close(found.value[0], exact(own, x["known"], x["trust"]), atol=1e-6, rtol=0)
    assert bool(found.exact)


def test_implicit_gradients_are_those_of_the_linear_system() -> None:
    energy, x = weighted()
    aim = torch.randn(NODES, COLUMNS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    own = energy.terms["smooth"].weights
    ours = {name: value.clone().requires_grad_() for name, value in x.items()}
    found = ll.infer(energy, x=ours, over="y", solver=EXACT, adjoint=Implicit(tol=1e-12))
    grads = torch.autograd.grad((found.value[0] * aim).sum(), [own, *ours.values()])
    theirs = {name: value.clone().requires_grad_() for name, value in x.items()}
    weights = own.detach().clone().requires_grad_()
    wanted = torch.autograd.grad((exact(weights, **theirs) * aim).sum(), [weights, *theirs.values()])
    for mine, other in zip(grads, wanted, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([[0], [3]], 3), ShapeError, "leads to node 3, but nodes are counted from 0 to 2"),
        (([[0.0], [1.0]], 3), ShapeError, "whole numbers"),
        (([[0], [1]], 3, 1, [1.0, 2.0]), ShapeError, "1 edges need as many weights"),
        (([[0], [1]], 3, 1, [-1.0]), DomainError, "at least 0"),
        (([[0], [1]], 0), OptionError, "nodes"),
    ],
)
def test_graphs_that_cannot_be(arguments: tuple[object, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        LaplacianSmoothness(*arguments)  # type: ignore[arg-type]
