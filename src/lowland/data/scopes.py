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


def exact_cover(block: int) -> Scope:
    """A Sudoku: in each of 4 N² sets of N entries exactly one is true, N = block². Entry (c N + v): cell c holds v.

    Factors are the sets: what a cell holds, and where a value stands in a row, a column or a block. Their elements are
    the entries, as clues in x and as answers in y; the factors themselves see nothing else.

    >>> exact_cover(3).free.shape, exact_cover(3).own.shape
    (torch.Size([324, 9, 1]), torch.Size([324, 0]))
    """
    values = block**2
    entry = torch.arange(values**3).view(values, values, values)  # row, column, value
    blocks = entry.view(block, block, block, block, values).permute(0, 2, 4, 1, 3)
    sets = [entry, entry.permute(0, 2, 1), entry.permute(1, 2, 0), blocks]
    places, nothing = torch.cat([one.reshape(-1, values, 1) for one in sets]), torch.empty(4 * values**2, 0).long()
    return Scope(values**3, values**3, places, places, nothing, nothing)


PLACES = ("given", "free", "context", "own")
"""The tensors of a scope."""
SCOPES = {"addition": addition, "linear_system": linear_system, "sudoku": exact_cover}


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
