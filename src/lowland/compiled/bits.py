"""Products of single bits: 64 of them by one exclusive or and one population count.

Legend: M rows of the left matrix, N rows of the right one, D numbers in each, W = ⌈D / 64⌉ words of 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

_FEW = 4
"""Rows of the left matrix whose counts are kept at once, so that a word of the right one is read once for all."""

jit = njit(nogil=True, cache=True, error_model="numpy")


def _count(typing: Any, word: Any) -> Any:
    """Population count of a word of 64 bits: one instruction, which LLVM widens to whole vectors where it can."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), build


_ones: Any = intrinsic(_count)


@jit
def pack(signs_MD: Any, words_MW: Any) -> None:
    """Bit d % 64 of word d // 64 says whether number d is negative; bits behind the last number are 0."""
    for m in range(len(signs_MD)):
        row, words = signs_MD[m], words_MW[m]
        for w in range(len(words)):
            word, first = np.uint64(0), 64 * w
            for d in range(min(64, len(row) - first)):
                word |= np.uint64(row[first + d] < 0) << np.uint64(d)
            words[w] = word


@jit
def differing(left_MW: Any, right_NW: Any, counts_MN: Any) -> None:
    """In how many bits each row of the left matrix differs from each row of the right one."""
    rows, words = left_MW.shape
    whole = rows - rows % _FEW
    for m in range(0, whole, _FEW):
        a, b, c, d = left_MW[m], left_MW[m + 1], left_MW[m + 2], left_MW[m + 3]
        for n in range(len(right_NW)):
            right = right_NW[n]
            one = two = three = four = np.uint64(0)
            for w in range(words):
                word = right[w]
                one += _ones(a[w] ^ word)
                two += _ones(b[w] ^ word)
                three += _ones(c[w] ^ word)
                four += _ones(d[w] ^ word)
            counts_MN[m, n], counts_MN[m + 1, n] = one, two
            counts_MN[m + 2, n], counts_MN[m + 3, n] = three, four
    for m in range(whole, rows):
        left = left_MW[m]
        for n in range(len(right_NW)):
            right, one = right_NW[n], np.uint64(0)
            for w in range(words):
                one += _ones(left[w] ^ right[w])
            counts_MN[m, n] = one
