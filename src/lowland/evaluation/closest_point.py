"""The closest points of a curve by SciPy: a reference that no solver of the library takes part in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowland.errors import OptionError

_CELLS = 720


def closest_on_curve(curve: Callable[[Any], Any], y: Tensor, low: float, high: float) -> Tensor:
    """For each point the closest point of a curve, (N, D) float64, by a bracketed scalar search.

    Args:
        curve: a parameter, or an array (K,) of them, to the point (D,), or points (K, D), by NumPy.
        y: (N, D).
        low, high: ends of the parameter, between which the curve is closed. The search begins at the best of 720 values
            and looks one cell to each side, so that between two of them the distance must not have two valleys.

    Raises:
        OptionError: unless low < high.

    >>> def circle(angle):
    ...     return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    >>> closest_on_curve(circle, torch.tensor([[3.0, 4.0]]), 0.0, 2 * np.pi).round(decimals=6)
    tensor([[0.6000, 0.8000]], dtype=torch.float64)
    """
    from scipy.optimize import minimize_scalar

    if not low < high:
        raise OptionError(f"The ends of a curve must be low < high, not {low} and {high}.")
    values, cell = np.linspace(low, high, _CELLS + 1), (high - low) / _CELLS
    points, closest = curve(values), []
    for point in y.double().cpu().numpy():

        def squared(value: float, at: np.ndarray = point) -> float:
            return float(((at - curve(value)) ** 2).sum())

        best = values[((points - point) ** 2).sum(axis=1).argmin()]
        found: Any = minimize_scalar(
            squared, bounds=(best - cell, best + cell), method="bounded", options={"xatol": 1e-12}
        )
        closest.append(curve(found.x))
    return torch.tensor(np.array(closest))
