"""How many patterns a memory holds: measured, and by a mean-field theory of random keys on a sphere.

Legend: N keys, D their width.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
from scipy.special import gammaln, ive
from torch import Tensor
from torch.nn import functional

from lowland.energies.associative_memory import AssociativeMemory
from lowland.energies.hopfield import Hopfield
from lowland.errors import OptionError
from lowland.inference import infer
from lowland.solvers.gibbs import Gibbs
from lowland.solvers.gradient_descent import GradientDescent

_STEPS, _TOL = 100, 1e-4


def sphere(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Random points on the unit sphere, (N, D).

    >>> sphere(3, 5, torch.Generator().manual_seed(0)).norm(dim=1)
    tensor([1., 1., 1.])
    """
    return functional.normalize(torch.randn(count, size, generator=generator), dim=1)


@torch.no_grad()
def retrieved_share(keys: Tensor, beta: float, query: Tensor, number: Tensor) -> float:
    """Share of the queries from which descent on `AssociativeMemory` ends where the right key has most of the mass.

    Args:
        keys: (N, D).
        beta: β.
        query: (B, D), where descent starts.
        number: (B,), the key that is right for each.

    >>> retrieved_share(torch.eye(3), 10.0, torch.tensor([[0.9, 0.1, 0.0]]), torch.tensor([0]))
    1.0
    """
    energy = AssociativeMemory(keys, beta)
    found = infer(energy, over="y", init=query, solver=GradientDescent(1.0, max_steps=_STEPS, tol=_TOL))
    share = energy.shares(found.value).gather(1, number[:, None])[:, 0]
    return float((share > 0.5).double().mean())


@torch.no_grad()
def recalled_share(patterns: Tensor, count: int, overlap: float = 0.95) -> float:
    """Share of the first stored patterns that a classical `Hopfield` network started there keeps to this overlap.

    Args:
        patterns: (N, D) of 0 and 1.
        count: of patterns to try.
        overlap: of signs, Σ s_i x_i / D.

    >>> recalled_share(torch.tensor([[1.0, 0.0, 1.0]]), 1)
    1.0
    """
    start = patterns[:count]
    solver = Gibbs(temperature=0.0, tol=0.0, max_steps=30)
    found = infer(Hopfield(patterns), over="y", init=start, solver=solver)
    same = ((2 * found.value - 1) * (2 * start - 1)).mean(dim=1)
    return float((same >= overlap).double().mean())


def capacity(size: int, beta: float) -> float:
    """How many random keys on the unit sphere `AssociativeMemory` holds, by mean-field theory.

    Near key 0 the state is y = r x₀ plus what the others add at right angles, which is neglected. The sum over the
    others is replaced by its mean, (N − 1) M(β r), where M(t) = E exp(t s) = Γ(D/2) (2/t)^(D/2 − 1) I_(D/2 − 1)(t) for
    a coordinate s of a point on the sphere. The share m of key 0, and r, satisfy

        m = 1 / (1 + (N − 1) M(β r) exp(−β r)),    r = m + (1 − m) M′(β r) / M(β r).

    N is the largest at which the iteration from r = 1 ends with m > ½. The mean overestimates the sum where it is that
    of very few keys, so that for β beyond D or so the theory is too low.

    Args:
        size: D, at least 2.
        beta: β.

    Returns:
        N, a real number of at least 1.

    >>> capacity(64, 8.0) > capacity(64, 4.0) > 1
    True
    """
    if size < 2 or not 0 < beta < math.inf:
        raise OptionError(f"The capacity needs a size of at least 2 and a positive beta, not {size} and {beta}.")
    low, high = 0.0, min(beta + 5.0, 700.0)  # of log N: at most e^β keys, since M ≥ 1
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _held(middle, size, beta) else (low, middle)
    return math.exp(low)


def _held(log_count: float, size: int, beta: float) -> bool:
    m, r = 1.0, 1.0
    others = max(math.expm1(log_count), 1e-300)
    for _ in range(1000):
        t = max(beta * r, 1e-9)
        log_mean, slope = _moment(t, size)
        m = 1 / (1 + math.exp(min(math.log(others) + log_mean - t, 700.0)))
        before, r = r, m + (1 - m) * slope
        if abs(r - before) < 1e-10:
            break
    return m > 0.5


def _moment(t: float, size: int) -> tuple[float, float]:
    """The logarithm of M(t), and M′ / M = I_(D/2)(t) / I_(D/2 − 1)(t)."""
    order = size / 2 - 1
    lower, upper = (float(ive(each, t)) for each in (order, order + 1))
    if lower < 1e-290:  # the series, whose next term is t⁴ / (8 D² (D + 2))
        return t * t / (2 * size), t / size
    return float(gammaln(size / 2)) + order * math.log(2 / t) + math.log(lower) + t, upper / lower


def half_point(counts: list[int], shares: list[float]) -> float | None:
    """The number of patterns at which half are retrieved, between two counts on a logarithmic scale; None if never.

    >>> half_point([10, 1000], [1.0, 0.0])
    100.0
    """
    for (a, one), (b, other) in itertools.pairwise(zip(counts, shares, strict=True)):
        if one >= 0.5 > other:
            return round(float(np.exp(np.interp(0.5, [other, one], [math.log(b), math.log(a)]))), 6)
    return None


@torch.no_grad()
def completions(keys: Tensor, covered: Tensor, seen: Tensor, beta: float) -> dict[str, dict[str, Any]]:
    """Half-covered patterns completed by a memory: the share that comes out right, and the error of the hidden half.

    Args:
        keys: (N, D), of unit length.
        covered: numbers of the keys that are shown, (B,).
        seen: (D,) of 0 and 1, which coordinates are shown.
        beta: β.
    """
    truth = keys[covered]
    query, energy = truth * seen, AssociativeMemory(keys, beta)
    step = GradientDescent(1.0, max_steps=1, tol=None)
    whole = GradientDescent(1.0, max_steps=_STEPS, tol=_TOL)
    nearest = torch.cdist(query, keys * seen, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)
    found = {
        "nothing": query,
        "attention": infer(energy, over="y", init=query, solver=step).value,
        "descent": infer(energy, over="y", init=query, solver=whole).value,
        "nearest": keys[nearest],
    }
    hidden = (truth * (1 - seen)).square().sum(dim=1).mean()
    rows = {}
    for name, value in found.items():
        picked = (value @ keys.T).argmax(dim=1)
        error = ((value - truth) * (1 - seen)).square().sum(dim=1).mean() / hidden
        rows[name] = {"right": float((picked == covered).double().mean()), "error": float(error), "value": value}
    return rows
