"""The inner loops of online dictionary learning. Legend: B samples, n features, K atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

jit = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")


@jit
def correlate(y_Bn: Any, z_BK: Any, codes_KK: Any, products_Kn: Any) -> None:
    """Adds z zᵀ and z yᵀ of all samples, at a cost that grows with what of z is not 0."""
    size = z_BK.shape[1]
    used, weight = np.empty(size, np.int64), np.empty(size)
    for b in range(len(z_BK)):
        count, row = 0, y_Bn[b]
        for k in range(size):
            if z_BK[b, k] != 0.0:
                used[count], weight[count] = k, z_BK[b, k]
                count += 1
        for a in range(count):
            codes, products, here = codes_KK[used[a]], products_Kn[used[a]], weight[a]
            for c in range(count):
                codes[used[c]] += here * weight[c]
            for i in range(len(row)):
                products[i] += here * row[i]


@jit
def descend(atoms_Kn: Any, codes_KK: Any, products_Kn: Any, least: float) -> None:
    """One round of block-coordinate descent on atoms of unit norm: each in turn to its optimum, given the others.

    An atom stays as it is where its diagonal entry of `codes` is at most `least`.
    """
    moved = np.empty(atoms_Kn.shape[1])
    for k in range(len(atoms_Kn)):
        curvature, atom = codes_KK[k, k], atoms_Kn[k]
        if curvature <= least:
            continue
        moved[:] = products_Kn[k]
        for j in range(len(atoms_Kn)):
            weight, other = codes_KK[k, j], atoms_Kn[j]
            if weight != 0.0:
                for i in range(len(moved)):
                    moved[i] -= weight * other[i]
        square = 0.0
        for i in range(len(moved)):
            moved[i] = atom[i] + moved[i] / curvature
            square += moved[i] * moved[i]
        if square > 0.0:
            for i in range(len(moved)):
                atom[i] = moved[i] / np.sqrt(square)
