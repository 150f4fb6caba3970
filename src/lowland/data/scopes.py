"""Which parts of a problem meet: the factors of a factor graph, as places in the given x and the answer y.

Shape letters: F factors, M elements of a factor, and so many entries of x or y for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowland.errors import OptionError, nearest

ONE, FIRST = 1, 2
"""Places in [0, 1, x]: of the constant 1, and of the first entry of x."""


@dataclass(frozen=True)
class Scope:
    """The factors of a problem with a given x (B, n_inputs) and an answer y (B, n_answers).

    Every factor has M elements, all alike, and a context. Places in x count in [0, 1, x], so that a scope can name a
    constant.

    Attributes:
        n_inputs, n_answers: sizes of x and y.
        given: (F, M, R) places in [0, 1, x] that an element sees.
        free: (F, M, S) places in y that an element sees.
        origin: (F, M, S) places in [0, y], from which the values at `free` are counted: at place 0 they are as they are.
        gate: (F, M) places in [0, 1, x]: the weight of each element, such as 0 where there is no edge.
        context: (F, C) places in [0, 1, x] that the factor itself sees.
        own: (F, O) places in y that the factor itself sees.
        own_gate: (F, O) places in [0, 1, x]: the weight of each of these.
    """

    n_inputs: int
    n_answers: int
    given: Tensor
    free: Tensor
    origin: Tensor
    gate: Tensor
    context: Tensor
    own: Tensor
    own_gate: Tensor


def linear_system(size: int) -> Scope:
    """A y = b: factor i is the i-th equation, its elements are the pairs (A_ij, y_j). x = [b, A].

    >>> linear_system(3).given.shape
    torch.Size([3, 3, 1])
    """
    row, column = _pairs(size)
    every, ones = torch.arange(size)[:, None], torch.full((size, size), ONE)
    entry, values = FIRST + size + row * size + column, column[:, :, None]
    nowhere, always = torch.zeros_like(values), torch.full_like(every, ONE)
    return Scope(size + size**2, size, entry[:, :, None], values, nowhere, ones, FIRST + every, every, always)


def addition(size: int) -> Scope:
    """y = a + b: factor i is an entry, and its one element is (a_i, b_i, y_i). x = [a, b].

    >>> addition(3).given[1]
    tensor([[3, 6]])
    """
    every = torch.arange(size)[:, None]
    terms, answer = torch.cat([FIRST + every, FIRST + size + every], dim=1), every[:, :, None]
    ones = torch.full_like(every, ONE)
    return Scope(2 * size, size, terms[:, None], answer, torch.zeros_like(answer), ones, terms, every, ones)


def shortest_path(size: int) -> Scope:
    """Distances y from a source: factor i is a node, its elements are the edges to nodes j, with (w_ij, y_j − y_i).

    x = [s, adjacency a, lengths w], s = 1 at the source; a_ij is the gate. The factor sees y_i itself at the source only,
    since distances are relative everywhere else.

    >>> shortest_path(4).origin[2, :, 0]
    tensor([3, 3, 3, 3])
    """
    row, column = _pairs(size)
    every, edge = torch.arange(size)[:, None], FIRST + size + row * size + column
    length, source = (edge + size**2)[:, :, None], FIRST + every
    inputs, ends, here = size + 2 * size**2, column[:, :, None], 1 + row[:, :, None]
    return Scope(inputs, size, length, ends, here, edge, source, every, source)


PLACES = ("given", "free", "origin", "gate", "context", "own", "own_gate")
"""The tensors of a scope."""
SCOPES = {"addition": addition, "linear_system": linear_system, "shortest_path": shortest_path}


def scope_of(kind: str, size: int) -> Scope:
    """The scope of a kind of problem at a size.

    Raises:
        OptionError: for an unknown kind, or a size below 2.

    >>> scope_of("shortest_path", 10).n_inputs
    210
    """
    if kind not in SCOPES:
        raise OptionError(f"There is no kind of problem called {kind!r}. {nearest(kind, SCOPES)}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 2:
        raise OptionError(f"The size of a problem must be a whole number of at least 2, not {size!r}.")
    return SCOPES[kind](size)


def _pairs(size: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return rows, columns
