"""K-means (system A1): the low-energy volume is bounded because only K points have zero energy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lowland.compiled import in_threads, usable
from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance, squared_distances
from lowland.energies.structure import Structure
from lowland.registry import register
from lowland.tensors import PerSampleRNG

# Samples per thread whose products with all centres are in memory at once: with fewer, threads wait for the GIL.
_HELD = 4096


def spread_out(y: Tensor, count: int, noise: PerSampleRNG, weight: Tensor | None = None) -> Tensor:
    """Greedy k-means++ initialisation, (count, n), independent of the order of the samples.

    Samples are drawn with probability in proportion to their squared distance from the nearest centre so far; of 2 +
    ⌊log count⌋ of them the one that lowers the sum of these distances most is the new centre (Arthur & Vassilvitskii
    2007, sections 2.2 and 7). `weight` (B,) gives the multiplicity of each sample.

    >>> spread_out(torch.tensor([[0.0], [5.0]]), 2, PerSampleRNG(0, torch.arange(2))).sort(dim=0).values
    tensor([[0.],
            [5.]])
    """
    y = y[torch.from_numpy(order := np.lexsort(y.detach().cpu().numpy().T[::-1])).to(y.device)]
    weight = torch.ones_like(y[:, 0]) if weight is None else weight[torch.from_numpy(order).to(y.device)]
    weight, distance = weight.double(), torch.ones_like(weight, dtype=torch.float64)
    draws = noise.take(torch.zeros(1, dtype=torch.int64, device=noise.sample_ids.device))
    chosen: list[Tensor] = []
    for _ in range(count):
        reached = (weight * distance).cumsum(0)
        tries = 2 + int(math.log(count)) if chosen else 1
        drawn = torch.searchsorted(reached, draws.uniform(tries)[0].double() * reached[-1]).clamp_max(len(y) - 1)
        away = squared_distances(y[drawn], y).double()
        left = torch.minimum(away, distance) if chosen else away
        best = (left @ weight).argmin()
        distance = left[best]
        chosen.append(drawn[best])
    return y[torch.stack(chosen)]


def lloyd(
    y: Tensor, centres: Tensor, max_steps: int = 100, tol: float = 0.0, weight: Tensor | None = None
) -> tuple[Tensor, Tensor, int]:
    """Lloyd's algorithm: centres (K, n), the index (B,) of the nearest centre of each sample, and the number of steps.

    It ends when a step lowers the mean squared distance by at most `tol`. A centre without samples moves onto the
    sample farthest from its centre. Source: Lloyd (1982); `weight` (B,) gives the multiplicity of each sample. The
    steps are those of `ExpectationMaximisation`, which takes no weights and which an energy cannot call.

    >>> lloyd(torch.tensor([[0.0], [2.0], [9.0]]), torch.tensor([[0.0], [9.0]]))
    (tensor([[1.],
            [9.]]), tensor([0, 0, 1]), 3)
    """
    energy = KMeans(y.shape[1], len(centres)).to(centres).requires_grad_(False)
    energy.centres.copy_(centres)
    counted = torch.ones_like(y[:, 0], dtype=torch.float64)
    if weight is not None:
        # Only ratios matter, and `refit` takes a count near 0 for none. A power of two changes no digit.
        weight = counted = torch.ldexp(weight.double(), -torch.frexp(weight.double().max()).exponent)
    labels, distance = nearest(y, energy.centres)
    before = torch.inf
    for step in range(max_steps):
        value = float(counted @ distance.double() / counted.sum())
        found = energy.statistics(None, y, labels, weight)
        energy.refit(found)
        if len(unused := (~energy.used(found)).nonzero()[:, 0]):
            energy.replace(unused, y[distance.masked_fill(counted == 0, 0).topk(len(unused)).indices], found)
        labels, distance = nearest(y, energy.centres)
        if before - value <= tol:
            return energy.centres.detach(), labels, step + 1
        before = value
    return energy.centres.detach(), labels, max_steps


def nearest(y: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The index (B,) of the centre nearest to each sample, the first of several, and the squared distance (B,).

    Matrix products about the mean of the centres find it, in chunks of samples. If rounding could decide between two
    centres, and for the distance itself, exact differences are used, which do not cancel.

    >>> nearest(torch.tensor([[3.0], [4.0]]), torch.tensor([[0.0], [5.0]]))
    (tensor([1, 1]), tensor([4., 1.]))
    """
    middle = centres.mean(dim=0)
    moved = (centres - middle).contiguous()
    half = 0.5 * moved.square().sum(dim=1)
    index, energy = torch.empty_like(y[:, 0], dtype=torch.int64), torch.empty_like(y[:, 0])

    def search(rows: range) -> None:
        for first in rows[::_HELD]:
            here = slice(first, min(first + _HELD, rows.stop))
            index[here], energy[here] = _nearest(y[here], centres.contiguous(), moved, half, middle)

    share = max(1, -(-len(y) // torch.get_num_threads()))
    in_threads(search, [range(first, min(first + share, len(y))) for first in range(0, len(y), share)])
    return index, energy


def _nearest(y: Tensor, centres: Tensor, moved: Tensor, half: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
    fast = usable(y, centres)
    search = _search_compiled if fast else _search
    index, lead, square = search(y, moved, half, middle)
    # A sum of n products is off by at most n rounding errors of |y| |w|, so two of them may be off by twice that.
    reach = (2 * half.max()).sqrt()
    doubt = 2 * torch.finfo(y.dtype).eps * (y.shape[1] + 4) * (square.sqrt() + reach) * reach
    open_ = (lead <= doubt).nonzero()[:, 0]
    if len(open_):
        index[open_] = torch.cdist(y[open_], centres, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)
    if not fast:
        return index, squared_distance(y, centres[index])
    from lowland.compiled import clusters

    clusters.distance(y.contiguous().numpy(), centres.numpy(), index.numpy(), square.numpy())
    return index, square


def _search(y: Tensor, centres: Tensor, half: Tensor, middle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The best centre by products, its margin over the next, and |y|² about the middle, (B,) each."""
    moved = y - middle
    best = (moved @ centres.T - half).topk(min(2, len(centres)), dim=1)
    lead = best.values[:, 0] - best.values[:, 1] if len(centres) > 1 else torch.full_like(y[:, 0], torch.inf)
    return best.indices[:, 0].clone(), lead, moved.square().sum(dim=1)


def _search_compiled(y: Tensor, centres: Tensor, half: Tensor, middle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    from lowland.compiled import clusters

    y, moved = y.contiguous(), torch.empty_like(y)
    square, value, lead = (torch.empty_like(y[:, 0]) for _ in range(3))
    index = torch.empty(len(y), dtype=torch.int32)
    clusters.centre(y.numpy(), middle.numpy(), moved.numpy(), square.numpy())
    score_KB = centres @ moved.T
    clusters.highest(score_KB.numpy(), half.numpy(), value.numpy(), lead.numpy(), index.numpy())
    return index.long(), lead, square


@register("energy")
class KMeans(Energy):
    """E(y, z) = ‖y − W z‖², with z one-hot and the K centres as the columns of W.

    So F(y) is the squared distance to the nearest centre. Inference is exhaustive: one matrix product compares all
    samples with all centres. Trained by `ll.shaping.ExpectationMaximisation()`, which at β = ∞ is Lloyd's method
    (1982), from a k-means++ start.

    Args:
        n_features: size of y.
        n_clusters: K.
        generator: draws the initial centres.

    >>> energy = KMeans(n_features=2, n_clusters=3)
    >>> energy(y=torch.zeros(1, 2), z=torch.tensor([[0.0, 1.0, 0.0]])).shape
    torch.Size([1])
    """

    def __init__(self, n_features: int, n_clusters: int, generator: torch.Generator | None = None) -> None:
        super().__init__(y=Reals(n_features), z=OneHot(n_clusters))
        generator = generator or torch.Generator().manual_seed(0)
        self.centres = nn.Parameter(torch.randn(n_clusters, n_features, generator=generator))

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return squared_distance(y, self.reconstruct(x, y, z))

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("z",):
            return Structure()
        return Structure(
            table=lambda: squared_distances(y, self.centres), argmin=lambda: nearest(y, self.centres.detach())
        )

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """The centre that z selects, (B, n_features)."""
        return z.to(self.centres.dtype) @ self.centres

    def initialise(self, x: Any, y: Tensor, noise: PerSampleRNG) -> None:
        """The centres become samples far from each other (`spread_out`)."""
        self.centres.copy_(spread_out(y, len(self.centres), noise))

    def statistics(self, x: Any, y: Tensor, z: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
        """Count and sum of each centre's samples, in float64; z is (B, K), or (B,) indices of centres.

        With indices, `weight` (B,) gives the multiplicity of each sample.
        """
        count = torch.zeros(len(self.centres), dtype=torch.float64, device=y.device)
        if z.ndim > 1:
            return {"count": count + z.double().sum(dim=0), "total": z.double().T @ y.double()}
        total = torch.zeros_like(self.centres, dtype=torch.float64)
        if weight is None and usable(y):
            from lowland.compiled.clusters import gather

            gather(y.contiguous().numpy(), z.numpy(), count.numpy(), total.numpy())
            return {"count": count, "total": total}
        each = torch.ones_like(y[:, 0], dtype=torch.float64) if weight is None else weight.double()
        return {"count": count.index_add_(0, z, each), "total": total.index_add_(0, z, each[:, None] * y.double())}

    def used(self, statistics: dict[str, Tensor]) -> Tensor:
        """(K,) whether a centre has samples."""
        return statistics["count"] > 0

    def refit(self, statistics: dict[str, Tensor]) -> None:
        """Each centre becomes the mean of its samples; one without samples stays where it is."""
        count = statistics["count"][:, None]
        means = statistics["total"] / count.clamp_min(1e-12)
        self.centres.copy_(torch.where(count > 1e-12, means.to(self.centres.dtype), self.centres))

    def replace(self, unused: Tensor, y: Tensor, statistics: dict[str, Tensor]) -> None:
        """Move the centres with these indices onto samples, and remove them from the statistics."""
        self.centres[unused] = y
        statistics["count"][unused] = 0.0
        statistics["total"][unused] = 0.0

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """The nearest of three corners."""
        energy = cls(2, 3)
        energy.centres.data = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
        y = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
        nearest = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.tensor([1.0, 2.0]), minimiser=nearest)
