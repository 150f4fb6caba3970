"""The area of low energy in the plane, and the area that the data themselves occupy."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.evaluation.energy_gap import Score, scores
from lowland.solvers.base import Solver

Bounds = tuple[tuple[float, float], tuple[float, float]]


class Volume(NamedTuple):
    """`share` of the box below `threshold`, the given quantile of the energies of held-out data.

    `area` is that share in squared units of y.
    """

    share: float
    area: float
    threshold: float


def grid(bounds: Bounds, resolution: int = 120) -> Tensor:
    """Centres of resolution × resolution equal cells of a box, (resolution², 2), first coordinate varying fastest.

    >>> grid(((0.0, 2.0), (0.0, 4.0)), 2)
    tensor([[0.5000, 1.0000],
            [1.5000, 1.0000],
            [0.5000, 3.0000],
            [1.5000, 3.0000]])
    """
    if any(not -math.inf < low < high < math.inf for low, high in bounds) or len(bounds) != 2:
        raise OptionError(f"Bounds must be ((low, high), (low, high)) with finite low < high, not {bounds}.")
    if resolution < 1:
        raise OptionError(f"The resolution must be at least 1, but it is {resolution}.")
    steps = (torch.arange(resolution) + 0.5) / resolution
    first, second = (low + (high - low) * steps for low, high in bounds)
    return torch.stack([first.repeat(resolution), second.repeat_interleave(resolution)], dim=1)


def low_energy_volume(
    energy: Score,
    bounds: Bounds,
    test: Tensor,
    quantile: float = 0.95,
    resolution: int = 200,
    *,
    beta: float = math.inf,
    solver: Solver | None = None,
) -> Volume:
    """Fraction of a box in the plane with energy at most the `quantile` of the energies of held-out data.

    A good energy occupies little more than the data do (`densest_share` of many new points); a flat one takes the whole
    box. Non-finite energies count as low in the box and as the highest for data, so both count against it.

    Args:
        energy: over the plane, or a function (N, 2) → (N,).
        bounds: ((low, high), (low, high)).
        test: (N, 2) held-out data.
        resolution: cells along each side; the error of the share is at most about the length of the level set in cells
            over resolution².

    >>> disc = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    >>> round(low_energy_volume(lambda y: y.abs().amax(1), ((-1, 1), (-1, 1)), disc, quantile=1.0).share, 2)
    0.25
    """
    if test.ndim != 2 or test.shape[1] != 2:
        raise ShapeError(f"The low-energy volume needs data of shape (N, 2), but they have {tuple(test.shape)}.")
    _check_quantile(quantile)
    data = scores(energy, test, beta=beta, solver=solver)
    ordered = torch.where(torch.isfinite(data), data, torch.inf).sort().values
    threshold = ordered[max(0, math.ceil(quantile * len(data)) - 1)]
    field = scores(energy, grid(bounds, resolution).to(test), beta=beta, solver=solver)
    share = float((~torch.isfinite(field) | (field <= threshold)).double().mean())
    area = math.prod(high - low for low, high in bounds)
    return Volume(share, share * area, float(threshold))


def densest_share(sample: Tensor, bounds: Bounds, quantile: float = 0.95, resolution: int = 100) -> float:
    """Smallest fraction of a box whose cells hold the `quantile` of a sample: the area that the data occupy.

    It adds up the fullest cells of a histogram until they hold that much. For small samples it is too small (cells are
    empty by chance): use hundreds of points per occupied cell. Points outside the box are never included.

    Args:
        sample: (N, 2), many new points from the data distribution.

    >>> points = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(0))
    >>> round(densest_share(points, ((0, 2), (0, 2)), quantile=1.0, resolution=20), 3)
    0.25
    """
    _check_quantile(quantile)
    inside = torch.ones(len(sample), dtype=torch.bool)
    cell = torch.zeros(len(sample), dtype=torch.int64)
    for axis, (low, high) in enumerate(bounds):
        place = ((sample[:, axis] - low) / (high - low) * resolution).floor().long()
        inside &= (place >= 0) & (place < resolution)
        cell += place * resolution**axis
    counts = torch.bincount(cell[inside], minlength=resolution**2).sort(descending=True).values
    needed = quantile * len(sample)
    if counts.sum() < needed:
        raise OptionError(f"The box holds less than {quantile:.0%} of the sample: widen the bounds.")
    return int((counts.cumsum(0) < needed).sum() + 1) / resolution**2


def _check_quantile(quantile: float) -> None:
    if not 0 < quantile <= 1:
        raise OptionError(f"The quantile must be in (0, 1], but it is {quantile}.")
