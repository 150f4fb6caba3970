"""Named rows of small images, for instance masked input, prediction and truth."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import INK, bare, figure
from lowland.words import plotted

_SIZE = 0.62


def mosaic(rows: Mapping[str, Tensor], *, size: float = _SIZE, gap: int = 1, title: str | None = None) -> Figure:
    """Images in their true brightness, one row per name.

    Args:
        rows: by name, (N, 1, H, W) or (N, 3, H, W), in [0, 1]; all with the same N, H and W.
        size: height of an image, in inches.
        gap: white pixels between two images.
        title: above all rows.

    Raises:
        ShapeError: for tensors that are not images, or of different sizes.

    >>> mosaic({"seen": torch.rand(5, 1, 8, 8), "hidden": torch.rand(5, 3, 8, 8)}).axes[0].images[0].get_array().shape
    (17, 44, 3)
    """
    shapes = {(len(tiles), *tiles.shape[2:]) for tiles in rows.values() if tiles.ndim == 4 and tiles.shape[1] in (1, 3)}
    if len(shapes) != 1 or any(tiles.ndim != 4 or tiles.shape[1] not in (1, 3) for tiles in rows.values()):
        found = ", ".join(f"{name} {tuple(tiles.shape)}" for name, tiles in rows.items())
        raise ShapeError(f"A mosaic needs rows of shape (N, 1 or 3, H, W), all alike, but it got {found or 'none'}.")
    count, height, width = shapes.pop()
    sheet = torch.ones(len(rows) * (height + gap) - gap, count * (width + gap) - gap, 3)
    for number, tiles in enumerate(rows.values()):
        pixels = tiles.detach().float().cpu().clamp(0, 1).expand(-1, 3, -1, -1)
        for place, tile in enumerate(pixels):
            top, left = number * (height + gap), place * (width + gap)
            sheet[top : top + height, left : left + width] = tile.permute(1, 2, 0)
    across, names = size * width / height * count, 0.085 * max(len(plotted(name)) for name in rows)
    drawn = figure(across + names, size * len(rows) + (0.35 if title else 0.05))
    ax = drawn.add_subplot()
    ax.imshow(sheet.numpy(), interpolation="nearest")
    bare(ax)
    for spine in ax.spines.values():
        spine.set_visible(False)
    for number, name in enumerate(rows):
        middle = number * (height + gap) + height / 2 - 0.5
        ax.text(-0.15 * width, middle, plotted(name), ha="right", va="center", fontsize=8.5, color=INK)
    if title:
        ax.set_title(plotted(title), fontsize=10, color=INK, loc="left", pad=6)
    return drawn
