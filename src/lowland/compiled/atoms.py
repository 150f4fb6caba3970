"""The inner loops of online dictionary learning. Legend: B samples, n features, K atoms."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowland.compiled.active_set import jit


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
def descend(atoms_Kn: Any, codes_KK: Any, residual_Sn: Any, first: int, least: float) -> None:
    """Block-coordinate descent on S atoms of unit norm from `first` on: each in turn to its optimum, given the others.

    `residual` holds their rows of products − codes · atoms, and is kept up to date within these rows. An atom stays as
    it is where its diagonal entry of `codes` is at most `least`.
    """
    for a in range(len(residual_Sn)):
        k, residual, square = first + a, residual_Sn[a], 0.0
        atom, curvature = atoms_Kn[k], codes_KK[k, k]
        if curvature <= least:
            continue
        for i in range(len(residual)):
            moved = atom[i] + residual[i] / curvature
            square += moved * moved
        if square == 0.0:
            continue
        for i in range(len(residual)):
            moved = (atom[i] + residual[i] / curvature) / np.sqrt(square)
            residual[i] = moved - atom[i]
            atom[i] = moved
        for c in range(a + 1, len(residual_Sn)):
            weight, other = codes_KK[first + c, k], residual_Sn[c]
            for i in range(len(other)):
                other[i] -= weight * residual[i]
