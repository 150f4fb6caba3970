"""Problems with exact answers, made here in any number and any difficulty: sums, inverses of matrices, shortest paths.

Shape letters: B problems, N unknowns or nodes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lowland.errors import OptionError

_ATTEMPTS = 100
_DENSITY = 10.0
"""Nodes per unit of area: edges are about as long in large graphs as in small ones, and paths have more of them."""


def additions(count: int, size: int, largest: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sums: x = [a, b], (B, 2 N), with entries uniform between ± the largest, and y = a + b, (B, N).

    Du, Mao & Tenenbaum (2024) train with numbers up to 1 and test with numbers up to 2.5 too, with N = 400.

    Raises:
        OptionError: for a count below 1, a size below 2 or a largest number that is not positive.

    >>> x, y = additions(2, 3, 1.0, torch.Generator().manual_seed(0))
    >>> bool((x[:, :3] + x[:, 3:] == y).all())
    True
    """
    _check(count, size)
    if not (largest > 0 and math.isfinite(largest)):
        raise OptionError(f"largest must be a positive number, but it is {largest}.")
    x = largest * (2 * torch.rand(count, 2 * size, generator=generator) - 1)
    return x, x[:, :size] + x[:, size:]


def inverse_columns(count: int, size: int, ridge: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Columns of inverses: x = [e_k, A], (B, N + N²), and y = A⁻¹ e_k, (B, N), with A = (2 R Rᵀ + δ I) / N.

    R has entries uniform on [−1, 1], and k is uniform. The smaller the ridge δ, the worse the condition of A. Du, Mao &
    Tenenbaum (2024) train at δ = 0.5 and test at 0.1 too, with N = 20, without the division by N, and infer all columns
    at once. The inverse is computed in float64.

    Args:
        count: B.
        size: N.
        ridge: δ > 0.
        generator: draws R and k.

    Raises:
        OptionError: for a count below 1, a size below 2 or a ridge that is not positive.

    >>> x, y = inverse_columns(2, 3, 0.5, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose((x[:, 3:].reshape(2, 3, 3) @ y[:, :, None])[:, :, 0], x[:, :3], atol=1e-5))
    True
    """
    _check(count, size)
    if not (ridge > 0 and math.isfinite(ridge)):
        raise OptionError(f"ridge must be a positive number, but it is {ridge}.")
    draws = torch.rand(count, size, size, generator=generator, dtype=torch.float64) * 2 - 1
    identity = torch.eye(size, dtype=torch.float64)
    matrix = (2 * draws @ draws.mT + ridge * identity) / size
    return columns_of(matrix, torch.randint(size, (count,), generator=generator))


def columns_of(matrix: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """One column of the inverse of each matrix (B, N, N) as a problem: x = [e_k, A] and y = A⁻¹ e_k, in float32.

    >>> columns_of(2 * torch.eye(2, dtype=torch.float64).expand(2, 2, 2), torch.arange(2))[1]
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """
    unit = torch.eye(matrix.shape[1], dtype=matrix.dtype)[which]
    answer = torch.linalg.solve(matrix, unit)
    return torch.cat([unit, matrix.flatten(1)], dim=1).float(), answer.float()


def shortest_paths(count: int, size: int, generator: torch.Generator, neighbours: int = 3) -> tuple[Tensor, Tensor]:
    """Distances from node 0: x = [1 at the source, a, w], (B, N + 2 N²), and y (B, N), the lengths of shortest paths.

    The nodes are points drawn uniformly from a square that grows with N, 10 to a unit of area. Each is joined to its
    nearest neighbours; a is the symmetric adjacency of 0 and 1, and w the length of each edge, 0 where there is none.
    Graphs that are not connected are drawn again. The distances are those of Floyd (1962).

    Args:
        count: B.
        size: N, more than `neighbours`.
        generator: draws the points.
        neighbours: of each node.

    Raises:
        OptionError: for a count below 1, neighbours below 1 or not below the size, or if connected graphs are so rare
            that they cannot be drawn.

    >>> x, y = shortest_paths(4, 6, torch.Generator().manual_seed(0))
    >>> x.shape, y.shape, y[:, 0]
    (torch.Size([4, 78]), torch.Size([4, 6]), tensor([0., 0., 0., 0.]))
    """
    _check(count, size)
    if not 1 <= neighbours < size:
        raise OptionError(f"neighbours must be from 1 to {size - 1} in a graph of {size} nodes, not {neighbours}.")
    found: list[tuple[Tensor, Tensor]] = []
    left = count
    for _ in range(_ATTEMPTS):
        points = math.sqrt(size / _DENSITY) * torch.rand(max(left, 16), size, 2, generator=generator)
        length = (points[:, :, None] - points[:, None]).square().sum(dim=3).sqrt()
        nearest = length.argsort(dim=2)[:, :, 1 : neighbours + 1]
        edge = torch.zeros_like(length).scatter_(2, nearest, 1.0)
        edge = torch.maximum(edge, edge.mT)
        distance = all_distances(torch.where(edge > 0, length, torch.inf))
        good = torch.isfinite(distance).all(dim=2).all(dim=1).nonzero()[:left, 0]
        source = torch.zeros(len(good), size).index_fill_(1, torch.tensor([0]), 1.0)
        x = torch.cat([source, edge[good].flatten(1), (edge * length)[good].flatten(1)], dim=1)
        found.append((x, distance[good][:, 0]))
        left -= len(good)
        if not left:
            return torch.cat([x for x, _ in found]), torch.cat([y for _, y in found])
    raise OptionError(
        f"Graphs of {size} nodes with {neighbours} neighbours each are hardly ever connected: use more neighbours."
    )


def all_distances(lengths: Tensor) -> Tensor:
    """The shortest paths between all nodes, (B, N, N), from the lengths of edges, infinite where there is none.

    >>> all_distances(torch.tensor([[[0.0, 1.0, 5.0], [1.0, 0.0, 1.0], [5.0, 1.0, 0.0]]]))[0, 0]
    tensor([0., 1., 2.])
    """
    distance = lengths.clone()
    distance.diagonal(dim1=1, dim2=2).zero_()
    for middle in range(distance.shape[1]):
        distance = torch.minimum(distance, distance[:, :, middle, None] + distance[:, None, middle])
    return distance


def _check(count: int, size: int) -> None:
    if count < 1 or size < 2:
        raise OptionError(f"Problems need a count of at least 1 and a size of at least 2, not {count} and {size}.")
