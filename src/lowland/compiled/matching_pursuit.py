"""The inner loop of `lowland.solvers.OrthogonalMatchingPursuit` over a range of samples.

Legend: B samples, D coordinates, S the coordinates chosen so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lowland.compiled.active_set import append, jit


@jit
def pursue(
    gram: Any,  # (D, D) float64
    linear: Any,  # (B, D) float64
    constant: Any,  # (B,) float64
    positive: bool,
    nonzeros: int,
    error: float,
    chunk: Any,  # indices of the rows to solve
    u: Any,  # (B, D): zeros, and then the answer
    energy: Any,  # (B,) float64
) -> None:
    """Adds the coordinate that matches what is left best, solves for all of S, and so on, at most to `nonzeros`."""
    size, stride = len(gram), (nonzeros + 15) // 16 * 16
    chosen, inverse = np.empty(nonzeros, np.int64), np.zeros((nonzeros, stride))
    cross, image, slope, correlation = np.empty(stride), np.empty(stride), np.empty(stride), np.empty(size)
    diagonal, code, fresh = np.empty(size), np.empty(nonzeros), np.empty(nonzeros)
    for j in range(size):
        diagonal[j] = 1.0 / np.sqrt(gram[j, j]) if gram[j, j] > 0.0 else 0.0
    used = 0
    for row in chunk:
        count = 0
        inverse[:used] = 0.0
        used = 0
        correlation[:] = linear[row]
        value = constant[row]
        while count < nonzeros and value > error:
            best, at = 0.0, -1
            for k in range(size):
                match = correlation[k] if positive else abs(correlation[k])
                if match * diagonal[k] > best:
                    best, at = match * diagonal[k], k
            # What is left of the correlations with atoms that are in S already is rounding.
            for a in range(count):
                if chosen[a] == at:
                    at = -1
            if at < 0 or not append(gram, inverse, chosen, count, at, 0.0, cross, image):
                break
            count += 1
            used = count
            end = (count + 15) // 16 * 16
            for a in range(count):
                slope[a] = linear[row, chosen[a]]
            for a in range(count, end):
                slope[a] = 0.0
            negative = False
            for a in range(count):
                total = 0.0
                for k in range(end):
                    total += inverse[a, k] * slope[k]
                fresh[a] = total
                negative |= total < 0.0
            if positive and negative:
                count -= 1
                break
            correlation[:] = linear[row]
            value = constant[row]
            for a in range(count):
                total = code[a] = fresh[a]
                value -= 0.5 * total * slope[a]
                for k in range(size):
                    correlation[k] -= total * gram[chosen[a], k]
        for a in range(count):
            u[row, chosen[a]] = code[a]
        energy[row] = value
