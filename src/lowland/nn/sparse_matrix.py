"""Matrices that are mostly zero: products with dense ones, with gradients for both.

Torch's own sparse tensors give a warning (rows) or are slow (coordinates), and have no second derivative.

Shape letters: N rows, K columns, M entries, D columns of a dense matrix.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import ShapeError


class Places:
    """Where a sparse matrix has entries, in the order of its rows, and what follows from it: computed once.

    Args:
        rows, columns: (M,) int64, rows rising.
        shape: (N, K).
    """

    def __init__(self, rows: Tensor, columns: Tensor, shape: tuple[int, int]) -> None:
        self.rows, self.columns, self.shape = rows, columns, shape

    @cached_property
    def offsets(self) -> Tensor:
        """(N + 1,) where each row begins, and the end."""
        return functional.pad(torch.bincount(self.rows, minlength=self.shape[0]).cumsum(0), (1, 0))

    @cached_property
    def turned(self) -> tuple[Tensor, Places]:
        """The order of the entries by columns, (M,), and the transposed places in this order."""
        order = self.columns.argsort(stable=True)
        return order, Places(self.columns[order], self.rows[order], (self.shape[1], self.shape[0]))


class SparseMatrix:
    """A matrix of N rows and K columns with M entries, in the order of its rows.

    `matrix @ x` is the product with a dense x (K, D), (N, D); it has derivatives of any order in the entries and in x.

    Args:
        rows, columns: (M,) int64; a place that is named twice has the sum of both entries.
        values: (M,) of the entries.
        shape: (N, K).

    Raises:
        ShapeError: if these do not fit each other.

    >>> matrix = SparseMatrix(torch.tensor([1, 0, 1]), torch.tensor([0, 1, 2]), torch.tensor([1.0, 2.0, 3.0]), (2, 3))
    >>> matrix @ torch.tensor([[1.0], [10.0], [100.0]])
    tensor([[ 20.],
            [301.]])
    """

    def __init__(self, rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> None:
        if not rows.shape == columns.shape == values.shape or rows.ndim != 1:
            raise ShapeError(
                f"A sparse matrix needs as many rows, columns and values, (M,) each, not {tuple(rows.shape)}, "
                f"{tuple(columns.shape)} and {tuple(values.shape)}."
            )
        for part, size in ((rows, shape[0]), (columns, shape[1])):
            if len(part) and not 0 <= int(part.min()) <= int(part.max()) < size:
                raise ShapeError(
                    f"A sparse matrix of shape {shape} has an entry at {int(part.max())} of {size} places."
                )
        order = rows.argsort(stable=True)
        self.places, self.values = Places(rows[order], columns[order], shape), values[order]

    @classmethod
    def at(cls, places: Places, values: Tensor) -> SparseMatrix:
        """A matrix with entries (M,) at places that are known."""
        made = object.__new__(cls)
        made.places, made.values = places, values
        return made

    @property
    def rows(self) -> Tensor:
        """(M,) int64, rising."""
        return self.places.rows

    @property
    def columns(self) -> Tensor:
        """(M,) int64."""
        return self.places.columns

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return self.places.shape

    def with_values(self, values: Tensor) -> SparseMatrix:
        """Other entries (M,) at the same places; what is known of the places is kept."""
        if values.shape != self.values.shape:
            raise ShapeError(f"There are {len(self.values)} entries, but the values are {tuple(values.shape)}.")
        return SparseMatrix.at(self.places, values)

    @property
    def T(self) -> SparseMatrix:
        """The transposed matrix, (K, N)."""
        order, places = self.places.turned
        return SparseMatrix.at(places, self.values.index_select(0, order))

    def __matmul__(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or len(x) != self.shape[1] or x.dtype != self.values.dtype:
            raise ShapeError(
                f"A sparse matrix {self.shape} of {self.values.dtype} is multiplied by a dense one of {self.shape[1]} "
                f"rows and the same type, but this is {tuple(x.shape)} of {x.dtype}."
            )
        product: Any = _Product.apply(self.values, x, self.places)
        return product

    def dense(self) -> Tensor:
        """The same matrix with its zeros, (N, K).

        >>> SparseMatrix(torch.tensor([0]), torch.tensor([1]), torch.tensor([3.0]), (1, 2)).dense()
        tensor([[0., 3.]])
        """
        return self.values.new_zeros(self.shape).index_put((self.rows, self.columns), self.values, accumulate=True)

    @classmethod
    def of(cls, dense: Tensor) -> SparseMatrix:
        """The entries of a dense matrix that are not zero."""
        rows, columns = dense.nonzero().unbind(dim=1)
        return cls(rows, columns, dense[rows, columns], (len(dense), dense.shape[1]))

    def to(self, device: torch.device | str) -> SparseMatrix:
        """The same matrix on another device."""
        return SparseMatrix(self.rows.to(device), self.columns.to(device), self.values.to(device), self.shape)


class _Product(torch.autograd.Function):
    """Σ_k a_ik x_k. The gradient of x is a product with the transposed matrix, that of a_ik is g_i · x_k."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, x: Tensor, places: Places) -> Tensor:
        ctx.places = places
        ctx.save_for_backward(values, x)
        # It sums the rows of x that an entry names, and is the fastest of torch's ways to do so.
        return functional.embedding_bag(
            places.columns, x, places.offsets, mode="sum", per_sample_weights=values, include_last_offset=True
        )

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        values, x = ctx.saved_tensors
        places, grad = ctx.places, grads[0].contiguous()
        of_values = of_x = None
        if ctx.needs_input_grad[0]:
            of_values = (grad[places.rows] * x[places.columns]).sum(dim=1)
        if ctx.needs_input_grad[1]:
            of_x = SparseMatrix.at(places, values).T @ grad
        return of_values, of_x, None
