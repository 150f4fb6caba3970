"""Which parts of a problem meet: the factors of a factor graph, as places in the given x and the answer y.

Shape letters: F factors, M elements of a factor, and so many entries of x or y for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowland.errors import OptionError, nearest


@dataclass(frozen=True)
class Scope:
    """The factors of a problem with a given x (B, n_inputs) and an answer y (B, n_answers).

    Every factor has M elements, all alike, and sees some entries itself.

    Attributes:
        n_inputs, n_answers: sizes of x and y.
        given: (F, M, R) places in x that an element sees.
        free: (F, M, S) places in y that an element sees.
        context: (F, C) places in x that the factor itself sees.
        own: (F, O) places in y that the factor itself sees.
    """

    n_inputs: int
    n_answers: int
    given: Tensor
    free: Tensor
    context: Tensor
    own: Tensor


def linear_system(size: int) -> Scope:
    """A y = b: factor i is the i-th equation, its elements are the pairs (A_ij, y_j). x = [b, A].

    >>> linear_system(3).given.shape
    torch.Size([3, 3, 1])
    """
    row, column = _pairs(size)
    every, entry = torch.arange(size)[:, None], size + row * size + column
    return Scope(size + size**2, size, entry[:, :, None], column[:, :, None], every, every)


def addition(size: int) -> Scope:
    """Y = a + b: factor i is an entry, and its one element is (a_i, b_i, y_i). x = [a, b].

    >>> addition(3).given[1]
    tensor([[1, 4]])
    """
    every = torch.arange(size)[:, None]
    terms = torch.cat([every, size + every], dim=1)
    return Scope(2 * size, size, terms[:, None], every[:, :, None], terms, every)


PLACES = ("given", "free", "context", "own")
"""The tensors of a scope."""
SCOPES = {"addition": addition, "linear_system": linear_system}


def scope_of(kind: str, size: int) -> Scope:
    """The scope of a kind of problem at a size.

    Raises:
        OptionError: for an unknown kind, or a size below 2.

    >>> scope_of("linear_system", 10).n_inputs
    110
    """
    if kind not in SCOPES:
        raise OptionError(f"There is no kind of problem called {kind!r}. {nearest(kind, SCOPES)}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 2:
        raise OptionError(f"The size of a problem must be a whole number of at least 2, not {size!r}.")
    return SCOPES[kind](size)


def _pairs(size: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return rows, columns
