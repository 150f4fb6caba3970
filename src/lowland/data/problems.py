"""Problems with exact answers, made here in any number and any difficulty: sums, and inverses of matrices.

Shape letters: B problems, N unknowns or sums.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lowland.errors import OptionError


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


def _check(count: int, size: int) -> None:
    if count < 1 or size < 2:
        raise OptionError(f"Problems need a count of at least 1 and a size of at least 2, not {count} and {size}.")
