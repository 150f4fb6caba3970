"""The energy gap: how reliably points off the data have higher energy than held-out data.

N is the number of points.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import OptionError, ShapeError
from lowland.inference import free_energy
from lowland.solvers.base import Solver
from lowland.tensors import batch_size as length_of
from lowland.tensors import tree_map

log = logging.getLogger(__name__)

Score: TypeAlias = Energy | Callable[[Tensor], Tensor]
"""An energy, or any function (N, ...) → (N,) that should be low on data."""


def scores(
    energy: Score,
    y: Any,
    x: Any = None,
    *,
    beta: float = math.inf,
    solver: Solver | None = None,
    batch_size: int = 1024,
) -> Tensor:
    """F_beta of every point, (N,), without gradients and in chunks; see `lowland.free_energy`.

    Points are converted to the dtype and device of the energy's parameters.

    Args:
        energy: an energy, with or without a latent variable, or a function of y.
        y, x: (N, ...).
        beta, solver: as in `lowland.free_energy`; ignored for a function.
        batch_size: points in one chunk. A Monte Carlo bound draws the same z for the n-th point of each chunk.

    Raises:
        ShapeError: if a function does not return one number for each point.

    >>> import lowland as ll
    >>> scores(ll.energies.Ellipse(radii=(2.0, 1.0)), torch.tensor([[3.0, 0.0], [0.0, 3.0]]))
    tensor([1., 4.])
    """
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, but it is {batch_size}.")
    count = length_of(y=y, x=x)
    parts: list[Tensor] = []
    with torch.no_grad():
        for first in range(0, count, batch_size):
            rows = torch.arange(first, min(first + batch_size, count))
            chunk_y, chunk_x = _chunk(y, rows), _chunk(x, rows)
            if not isinstance(energy, Energy):
                parts.append(_checked(energy(chunk_y), len(rows)))
                continue
            chunk_y, chunk_x = _alike(energy, chunk_y), _alike(energy, chunk_x)
            parts.append(free_energy(energy, chunk_y, chunk_x, beta, solver=solver).value.detach())
    return torch.cat(parts) if parts else torch.empty(0)


def _chunk(value: Any, rows: Tensor) -> Any:
    return tree_map(lambda tensor: tensor[rows.to(tensor.device)], value)


def _alike(energy: Energy, value: Any) -> Any:
    own = next(iter(energy.parameters()), None)
    if own is None:
        return value
    return tree_map(lambda t: t.to(own.device, own.dtype if t.is_floating_point() else None), value)


def _checked(value: Tensor, count: int) -> Tensor:
    if value.shape != (count,):
        raise ShapeError(f"A score must return one number for each point, shape ({count},), not {tuple(value.shape)}.")
    return value


def auroc(data: Tensor, negatives: Tensor) -> float:
    """P(F(negative) > F(data)) + ½ P(F(negative) = F(data)), the area under the ROC curve, from ranks in O(N log N).

    A non-finite value counts against the energy: as the highest for data, as the lowest for negatives.

    Args:
        data: (N,) energies of held-out data.
        negatives: (M,) energies of points off the data.

    >>> auroc(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    0.875
    """
    if data.ndim != 1 or negatives.ndim != 1 or not len(data) or not len(negatives):
        raise ShapeError(
            "AUROC needs two non-empty vectors of energies, one of data and one of negatives, but their shapes are "
            f"{tuple(data.shape)} and {tuple(negatives.shape)}."
        )
    data = torch.where(torch.isfinite(data), data.double(), torch.inf).cpu()
    negatives = torch.where(torch.isfinite(negatives), negatives.double(), -torch.inf).cpu()
    ordered = data.sort().values
    below = torch.searchsorted(ordered, negatives, right=False).double()
    up_to = torch.searchsorted(ordered, negatives, right=True).double()
    return float((below + up_to).mean() / (2 * len(data)))


class EnergyGap(dict[str, float]):
    """AUROC by kind of negatives; `non_finite` counts NaN or infinite energies by kind, with "data" for the data."""

    def __init__(self, values: Mapping[str, float], non_finite: Mapping[str, int]) -> None:
        super().__init__(values)
        self.non_finite = dict(non_finite)


def energy_gap(
    energy: Score,
    test: Tensor,
    negatives: Mapping[str, Tensor],
    *,
    beta: float = math.inf,
    solver: Solver | None = None,
    batch_size: int = 1024,
) -> EnergyGap:
    """AUROC of energies for separating each kind of negatives from held-out data; 1 is perfect, ½ is chance.

    Args:
        energy: an energy, or a function (N, ...) → (N,) that should be low on data, such as one of `baselines`.
        test: (N, ...) held-out data.
        negatives: by name, (M, ...) points off the data: see `lowland.evaluation.make_negatives`.
        beta, solver, batch_size: see `scores`.

    Returns:
        `EnergyGap`: a dictionary by name, with the number of non-finite energies, which count against the energy.

    >>> import lowland as ll
    >>> angle = torch.linspace(0, 6, 50)[:, None]
    >>> circle = torch.cat([angle.cos(), angle.sin()], dim=1)
    >>> energy_gap(ll.energies.Ellipse(radii=(1.0, 1.0)), circle, {"inside": 0.5 * circle, "itself": circle})["inside"]
    1.0
    """
    energies = {
        name: scores(energy, points, beta=beta, solver=solver, batch_size=batch_size)
        for name, points in {"data": test, **negatives}.items()
    }
    broken = {name: int((~torch.isfinite(value)).sum()) for name, value in energies.items()}
    if any(broken.values()):
        log.warning("Non-finite energies, counted against the energy: %s", {k: n for k, n in broken.items() if n})
    return EnergyGap({name: auroc(energies["data"], energies[name]) for name in negatives}, broken)


def baselines(train: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """Scores without learning, for comparison: ‖y − mean of the training data‖², and a constant (AUROC exactly ½).

    >>> sorted(baselines(torch.zeros(3, 2)))
    ['constant', 'norm']
    """
    mean = train.detach().double().mean(dim=0)
    return {
        "norm": lambda y: (y.double() - mean.to(y.device)).square().flatten(1).sum(dim=1),
        "constant": lambda y: torch.zeros(y.shape[0], dtype=torch.float64, device=y.device),
    }
