"""Products of signs, 64 at a time, by exclusive or and population count (system H1).

Shape letters: M and N rows, D numbers in each, W = ⌈D / 64⌉ words.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.compiled import usable
from lowland.errors import OptionError, ShapeError

_DTYPES = (torch.float32, torch.float64)


class Signs(NamedTuple):
    """Signs of the rows of a matrix, a bit each.

    Attributes:
        words: (N, W) int64, bit d % 64 of word d // 64 set where number d is negative; bits behind the last are 0.
        size: D.
    """

    words: Tensor
    size: int


def pack_signs(rows: Tensor) -> Signs:
    """The signs of a matrix, of which 0 counts as positive, as in `lowland.nn.quantisers`.

    Args:
        rows: (N, D) float32 or float64, on the CPU.

    Raises:
        ShapeError: for another shape or type, or numbers on another device.
        OptionError: without the package numba.

    >>> pack_signs(torch.tensor([[1.0, -1.0, 0.0, -2.0]])).words.tolist()  # 2 + 8
    [[10]]
    """
    if rows.ndim != 2 or rows.dtype not in _DTYPES or rows.device.type != "cpu":
        raise ShapeError(
            f"Signs are packed of a float matrix (N, D) on the CPU, but this is {rows.dtype} {tuple(rows.shape)} on "
            f"{rows.device}."
        )
    if not usable(rows):
        raise OptionError("The product of single bits needs the package numba: pip install 'lowland[fast]'.")
    from lowland.compiled.bits import pack

    words = torch.empty(len(rows), -(-rows.shape[1] // 64), dtype=torch.int64)
    pack(rows.detach().numpy(), words.numpy().view("uint64"))
    return Signs(words, rows.shape[1])


def sign_product(left: Signs, right: Signs) -> Tensor:
    """Y_mn = Σ_d sign(a_md) sign(b_nd) = D − 2 · (number of bits in which row m of a and row n of b differ).

    Source: Rastegari, Ordonez, Redmon & Farhadi, "XNOR-Net" (2016), section 3.2. One thread. Scales are multiplied
    afterwards: one for each row of weights, one for the activations.

    Args:
        left, right: of `pack_signs`, with the same D.

    Returns:
        (M, N) int32, the exact product.

    Raises:
        ShapeError: for rows of different sizes.

    >>> a, b = torch.tensor([[1.0, -1.0, 1.0]]), torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, -1.0]])
    >>> sign_product(pack_signs(a), pack_signs(b))
    tensor([[ 1, -3]], dtype=torch.int32)
    """
    if left.size != right.size:
        raise ShapeError(f"Rows of {left.size} signs cannot be multiplied with rows of {right.size}.")
    from lowland.compiled.bits import differing

    counts = torch.empty(len(left.words), len(right.words), dtype=torch.int32)
    differing(left.words.numpy().view("uint64"), right.words.numpy().view("uint64"), counts.numpy())
    return counts.mul_(-2).add_(left.size)
