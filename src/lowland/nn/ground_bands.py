"""Bands of a picture, each along the ground at one distance and scaled so that a metre has as many pixels (system V9).

Legend: N places, H and W rows and columns, C channels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.near_stereo import Ground
from lowland.errors import OptionError
from lowland.nn.parsing import halve

ROWS, COLUMNS = 12, 25
"""Of a window, in pixels, as published."""
FOOT = 8
"""Row of a window in which its place on the ground is."""
METRE = 10.0
"""Pixels of a band for a metre at its distance."""
FIXED = 2.0
"""Pixels of the picture for one of a window, where windows are not scaled by distance."""
_RATIO, _STRIDE, _MOST = 1.1, 4, 40
_FROM_RGB = torch.tensor([[0.299, 0.587, 0.114], [-0.147, -0.289, 0.436], [0.615, -0.515, -0.100]])


class Places(NamedTuple):
    """N places on the plane of the ground: column `u` and row `v` in the picture, and `distance` in metres."""

    u: Tensor
    v: Tensor
    distance: Tensor

    def take(self, rows: Tensor) -> Places:
        """Some of them."""
        return Places(self.u[rows], self.v[rows], self.distance[rows])


def band_places(ground: Ground, focal: float, size: tuple[int, int], nearest: float, farthest: float) -> Places:
    """The places of all windows of all bands.

    The distance of a band is 1.1 times that of the one before. Windows of a band are 4 of its pixels apart, or more
    where that would be over 40 of them, and lie inside the picture.

    Args:
        ground: the plane that was fitted.
        focal: focal length in pixels.
        size: (H, W) of the picture.
        nearest, farthest: metres.

    Raises:
        OptionError: unless 0 < nearest < farthest.

    >>> places = band_places(Ground(0.0, 0.1, -5.6, 0.12), 480.0, (208, 512), 4.0, 60.0)
    >>> round(float(places.distance.min())), round(float(places.distance.max())), places.u.shape == places.v.shape
    (4, 58, True)
    """
    if not 0 < nearest < farthest < math.inf:
        raise OptionError(f"Bands need 0 < nearest < farthest, not {nearest:g} and {farthest:g}.")
    count = math.floor(math.log(farthest / nearest) / math.log(_RATIO) + 1e-9) + 1
    columns, rows, distances = [], [], []
    for number in range(count):
        distance = torch.tensor(nearest * _RATIO**number)
        scale = focal / float(distance) / METRE
        reach = (size[1] - 1) / 2 - scale * (COLUMNS - 1) / 2
        if reach <= 0:
            continue
        windows = min(_MOST, 2 * math.floor(reach / (_STRIDE * scale)) + 1)
        edge = reach if windows == _MOST else _STRIDE * scale * (windows // 2)
        u = (size[1] - 1) / 2 + torch.linspace(-edge, edge, windows)
        v = ground.row(u, distance, focal)
        inside = (v >= 0) & (v <= size[0] - 1)
        columns.append(u[inside])
        rows.append(v[inside])
        distances.append(distance.expand(int(inside.sum())))
    return Places(*(torch.cat(parts) for parts in (columns, rows, distances)))


def cut(
    image: Tensor, ground: Ground, u: Tensor, v: Tensor, scale: Tensor, size: tuple[int, int] = (ROWS, COLUMNS)
) -> Tensor:
    """Windows of a picture around places, levelled with the horizon, (N, C, rows, columns), by bilinear interpolation.

    A window of a larger scale is cut from a picture that was halved as often as fits, so that no detail turns into
    noise. What is outside the picture repeats its border.

    Args:
        image: (C, H, W), float.
        ground: the plane that was fitted; a row of a window follows its horizon.
        u, v: (N,) column and row of the places, which come to row 8 and the middle column of 12 × 25, and to the same
            part of other sizes.
        scale: (N,) pixels of the picture for one of the window.
        size: rows and columns of a window.

    >>> flat = Ground(0.0, 0.1, -1.0, 0.12)
    >>> image = torch.arange(100.0).expand(1, 40, -1)
    >>> windows = cut(image, flat, torch.tensor([50.0]), torch.tensor([20.0]), torch.tensor([1.0]))
    >>> windows[0, 0, 0, [0, 12, 24]]
    tensor([38.0000, 50.0000, 62.0000])
    """
    rows, columns = size
    across = torch.arange(columns) - (columns - 1) / 2
    down = torch.arange(rows) - float(round(FOOT * rows / ROWS))
    column = u[:, None, None] + scale[:, None, None] * across
    slope = -ground.across / ground.down
    row = v[:, None, None] + scale[:, None, None] * down[:, None] + slope * scale[:, None, None] * across
    level_N = scale.clamp_min(1).log2().round().long()
    found = image.new_zeros(len(u), len(image), rows, columns)
    smaller = image[None]
    for level in range(int(level_N.max()) + 1 if len(u) else 0):
        own = (level_N == level).nonzero()[:, 0]
        if len(own):
            height, width = smaller.shape[2:]
            # Pixel k of a halved picture has its middle on pixel 2 k of the larger one.
            x, y = (one[own].expand(-1, rows, columns) / 2**level for one in (column, row))
            grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=3).reshape(1, -1, columns, 2)
            cuts = functional.grid_sample(smaller, grid, padding_mode="border", align_corners=True)
            found[own] = cuts[0].unflatten(1, (len(own), rows)).movedim(0, 1)
        smaller = halve(smaller)
    return found


def yuv(image: Tensor) -> Tensor:
    """(3, H, W) uint8 in red, green and blue to brightness and two differences of colour, as float around 0.

    >>> yuv(torch.full((3, 2, 2), 255, dtype=torch.uint8))[:, 0, 0].abs().round(decimals=2)
    tensor([2., 0., 0.])
    """
    found = torch.einsum("ij,jhw->ihw", _FROM_RGB, image.float() / 255)
    return 4 * (found - torch.tensor([0.5, 0.0, 0.0])[:, None, None])
