"""The inner loop of `lowland.solvers.ActiveSet` over a range of samples.

Legend: B samples, D coordinates, S the coordinates in play (the support and the newest violators), at most `bound`.
The inverse of the Gram matrix of S grows and shrinks by one coordinate at a time, which costs S² instead of S³.
Arrays over S are padded with zeros to whole blocks of 16, so that no compiled loop has a slow remainder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# A pivot below this share of its diagonal means that S is dependent; a ridge of the larger share is then added to G_SS.
# It only shortens steps: along what G does not see they still end at the first coordinate that reaches 0.
_PIVOT, _RIDGE = 1e-9, 1e-7
# Coordinates whose violation is at least this share of the worst join together: fewer make more rounds, more make
# more that leave again. On patches of photographs 0.7 is fastest, and 0.5 and 0.85 take up to half as long again.
_SHARE = 0.7
# Rounds in which none joined, after which rounding leaves nothing to gain.
_IDLE = 3
# The rounding of the gap, relative to the sums whose differences make it; see `lowland.solvers.active_set.ROUNDING`.
_ROUNDING = 8 * 2.0**-52


jit = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")


@jit
def append(gram: Any, inverse: Any, chosen: Any, count: int, j: int, ridge: float, cross: Any, image: Any) -> bool:
    """Coordinate j joins S, as its last; False if it does not, since it depends on those that are in it."""
    end, pivot = (count + 15) // 16 * 16, gram[j, j] + ridge
    for a in range(count):
        cross[a] = gram[j, chosen[a]]
    for a in range(count, end):
        cross[a] = image[a] = 0.0
    for a in range(count):
        total = 0.0
        for k in range(end):
            total += inverse[a, k] * cross[k]
        image[a] = total
        pivot -= total * cross[a]
    if pivot < _PIVOT * gram[j, j]:
        return False
    for a in range(count):
        share = image[a] / pivot
        for k in range(end):
            inverse[a, k] += share * image[k]
        inverse[a, count] = -share
        inverse[count, a] = -share
    inverse[count, count] = 1.0 / pivot
    chosen[count] = j
    return True


@jit
def drop(inverse: Any, chosen: Any, sign: Any, count: int, place: int, image: Any) -> None:
    """The coordinate at a place of S leaves; the last one takes its place."""
    last = count - 1
    chosen[place], sign[place] = chosen[last], sign[last]
    for k in range(count):
        inverse[place, k], inverse[last, k] = inverse[last, k], inverse[place, k]
    for k in range(count):
        inverse[k, place], inverse[k, last] = inverse[k, last], inverse[k, place]
    end, pivot = (count + 15) // 16 * 16, inverse[last, last]
    for k in range(end):
        image[k] = inverse[last, k]
        inverse[last, k] = 0.0
    for a in range(last):
        share = image[a] / pivot
        for k in range(end):
            inverse[a, k] -= share * image[k]
        inverse[a, last] = 0.0


@jit
def join(gram: Any, inverse: Any, chosen: Any, count: int, j: int, ridge: float, cross: Any, image: Any) -> float:
    """Coordinate j joins S; the ridge, which appears when it is first needed."""
    if not append(gram, inverse, chosen, count, j, ridge, cross, image):
        ridge = _RIDGE * gram[j, j]
        inverse[:count] = 0.0
        for a in range(count):
            append(gram, inverse, chosen, a, chosen[a], ridge, cross, image)
        append(gram, inverse, chosen, count, j, ridge, cross, image)
    return ridge


@jit
def solve(
    gram: Any,  # (D, D) float64
    linear: Any,  # (B, D) float64
    constant: Any,  # (B,) float64
    weights: Any,  # (D,) float64, λ
    positive: bool,
    tol: float,
    bound: int,
    rounds: int,
    chunk: Any,  # indices of the rows to solve
    u: Any,  # (B, D): the start, and then the answer
    energy: Any,  # (B,) float64
    certificate: Any,  # (B,) float64; −1 where S would outgrow `bound`
) -> None:
    """Writes the answer into u, with its energy and its certificate."""
    size, stride = len(gram), (bound + 15) // 16 * 16
    chosen, sign, inverse = np.empty(bound, np.int64), np.empty(bound), np.zeros((bound, stride))
    slope, cross, image = np.empty(stride), np.empty(stride), np.empty(stride)
    correlation, ratio, reciprocal, lanes = np.empty(size), np.empty(size), 1.0 / weights, np.empty(16)
    used = 0
    for row in chunk:
        c, point, count, ridge, idle = linear[row], u[row], 0, 0.0, 0
        inverse[:used] = 0.0
        used = support = 0
        for j in range(size):
            support += point[j] != 0.0
        for j in range(size if support else 0):
            if support > bound:
                point[j] = 0.0
            elif point[j] != 0.0:
                ridge = join(gram, inverse, chosen, count, j, ridge, cross, image)
                sign[count] = 1.0 if point[j] > 0.0 else -1.0
                count += 1
        used = count
        for _ in range(rounds):
            # All correlations with the residual of the solution as it will be returned, from scratch, in float64.
            correlation[:] = c
            by_linear = by_residual = by_penalty = by_size = 0.0
            for a in range(0, count - 1, 2):
                # Two at a time: each pass loads and stores all correlations.
                one, two = chosen[a], chosen[a + 1]
                first, second = np.float64(point[one]), np.float64(point[two])
                for k in range(size):
                    correlation[k] -= first * gram[one, k] + second * gram[two, k]
            if count % 2:
                value = np.float64(point[chosen[count - 1]])
                for k in range(size):
                    correlation[k] -= value * gram[chosen[count - 1], k]
            for a in range(count):
                value = np.float64(point[chosen[a]])
                by_linear += value * c[chosen[a]]
                by_size += abs(value * c[chosen[a]])
                by_penalty += abs(value) * weights[chosen[a]]
            for a in range(count):
                by_residual += np.float64(point[chosen[a]]) * correlation[chosen[a]]
            # The largest correlation in units of λ, in lanes since a plain maximum is not vectorised.
            total = 0.0
            for k in range(size):
                total += correlation[k]
                ratio[k] = (correlation[k] if positive else abs(correlation[k])) * reciprocal[k]
            lanes[:] = 0.0
            for block in range(size // 16):
                for k in range(16):
                    lanes[k] = ratio[16 * block + k] if ratio[16 * block + k] > lanes[k] else lanes[k]
            for k in range(size // 16 * 16, size):
                lanes[0] = ratio[k] if ratio[k] > lanes[0] else lanes[0]
            worst = lanes.max()
            # Primal and dual value; the dual point is the residual, scaled until it is feasible.
            value = constant[row] - 0.5 * (by_linear + by_residual) + by_penalty
            inner = 2.0 * constant[row] - by_linear
            square = inner - by_residual
            scale = inner / square if square > 0.0 else 0.0
            if scale * worst > 1.0:
                scale = 1.0 / worst
            gap = value - scale * inner + 0.5 * scale * scale * square
            # Not a number if one correlation is not: comparisons alone would pass over it.
            energy[row] = value + 0.0 * total
            gap = max(gap, 0.0) + _ROUNDING * (constant[row] + by_size)
            certificate[row] = gap / max(value, 1e-300)
            if certificate[row] <= tol or not energy[row] < np.inf or idle > _IDLE:
                break
            # Of the coordinates that violate optimality, the worst ones join.
            threshold, before = 1.0 + _SHARE * (worst - 1.0), count
            for k in range(size):
                if ratio[k] >= threshold and ratio[k] > 1.0 and point[k] == 0.0:
                    if count == bound:
                        count, used = -1, bound
                        break
                    ridge = join(gram, inverse, chosen, count, k, ridge, cross, image)
                    sign[count] = 1.0 if correlation[k] > 0.0 else -1.0
                    count += 1
            if count < 0:
                certificate[row] = -1.0
                break
            used = max(used, count)
            idle = 0 if count > before or ridge > 0.0 else idle + 1
            # Newton steps within the orthant of these signs, each as far as the first coordinate that reaches 0.
            while count:
                end = (count + 15) // 16 * 16
                for a in range(count):
                    slope[a] = correlation[chosen[a]] - weights[chosen[a]] * sign[a]
                for a in range(count, end):
                    slope[a] = 0.0
                for a in range(count):
                    total = 0.0
                    for k in range(end):
                        total += inverse[a, k] * slope[k]
                    image[a] = total
                step, at, astray = 1.0, -1, False
                for a in range(count):
                    here, move = point[chosen[a]] * sign[a], image[a] * sign[a]
                    if here == 0.0:
                        astray |= not move > 0.0
                    elif here + step * move <= 0.0:
                        step, at = -here / move, a
                if astray:  # newcomers that would leave the orthant at once
                    for a in range(count - 1, -1, -1):
                        if point[chosen[a]] == 0.0 and not image[a] * sign[a] > 0.0:
                            other = image[count - 1]
                            drop(inverse, chosen, sign, count, a, cross)
                            image[a] = other
                            count -= 1
                    continue
                for a in range(count):
                    j = chosen[a]
                    moved = point[j] + step * image[a]
                    point[j] = moved if a != at and moved * sign[a] > 0.0 else 0.0
                    correlation[j] -= step * (slope[a] - ridge * image[a])
                for a in range(count - 1, -1, -1):
                    if point[chosen[a]] == 0.0:
                        drop(inverse, chosen, sign, count, a, cross)
                        count -= 1
                if at < 0:
                    break
