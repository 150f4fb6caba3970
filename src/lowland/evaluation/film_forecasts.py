"""Forecasts of traffic images, scored per cell: how much of each cell of road other cars cover.

Shape letters: B starts, N futures, T steps, C channels, H and W rows and columns, D cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lowland.evaluation.forward_models import coverage
from lowland.worlds.base import World
from lowland.worlds.driving_costs import CARS
from lowland.worlds.rollout import transitions

_CELL = (8, 4)
"""Rows and columns of a cell in pixels: about 9 m × 3.7 m in images of 64 × 16."""
_LEAST = 0.02
"""Fraction of a cell below which a car does not count."""


def newest_frames(world: World, x: Mapping[str, Any], z: Tensor | None) -> Tensor:
    """The newest frame of each step of a roll-out, (B, T, C, H, W); whole image states would fill the memory.

    Args:
        world: a forward model of images.
        x: {"state": s[0], "actions": (B, T, A)}.
        z: (B, T, Z), or None for z = 0.
    """
    found = transitions(world, x["state"], x["actions"], z, x["actions"].shape[1])
    return torch.stack([step.following["image"][:, -1] for step in found], dim=1)


def car_cells(frames: Tensor) -> Tensor:
    """Fraction of each cell covered by other cars: frames (B, T, C, H, W) → (B, T, D).

    >>> car_cells(torch.ones(2, 5, 3, 64, 16)).shape
    torch.Size([2, 5, 32])
    """
    return functional.avg_pool2d(frames[:, :, CARS], _CELL).flatten(2)


def cell_coverage(samples: Tensor, truth: Tensor, generator: torch.Generator) -> tuple[float, Tensor]:
    """`coverage` by step, over cells in which at least one of the N futures and the truth has a car.

    All N + 1 are treated the same way, so the coverage is nominal if the truth has the same distribution as the
    futures. Values that differ by less than 2 % of a cell count as equal, and ties are broken at random.

    Args:
        samples: (B, N, T, D), from `car_cells`.
        truth: (B, T, D).
        generator: breaks the ties.

    Returns:
        The nominal coverage, and the coverage at each step, (T,); NaN where no future has a car anywhere.
    """
    both = torch.cat([samples, truth[:, None]], dim=1)
    blurred = both + _LEAST * torch.rand(both.shape, generator=generator).to(both.device)
    chosen = (both > _LEAST).any(dim=1)
    level, shares = 0.0, []
    for t in range(truth.shape[1]):
        values = blurred[:, :, t].movedim(1, 2)[chosen[:, t]][:, :, None, None]
        if not len(values):
            shares.append(truth.new_tensor(torch.nan))
            continue
        level, share = coverage(values[:, :-1], values[:, -1])
        shares.append(share[0])
    return level, torch.stack(shares)
