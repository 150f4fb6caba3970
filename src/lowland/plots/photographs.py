"""Photographs side by side, in their true brightness."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import WIDE, bare, figure
from lowland.words import plotted, printable


def photographs(
    tiles: Sequence[tuple[Tensor, str]], *, columns: int | None = None, height: float = 2.4, title: str | None = None
) -> Figure:
    """Images with a line of text above each; 0 is black and 1 is white.

    Args:
        tiles: pairs of an image, (1, H, W) or (3, H, W), and its text.
        columns: by default all in one row.
        height: of an image, in inches.
        title: above all images.

    Raises:
        ShapeError: for tensors that are not images, or if there are none.

    >>> import torch
    >>> len(photographs([(torch.rand(1, 8, 8), "left"), (torch.rand(3, 8, 8), "right")]).axes)
    2
    """
    if not tiles:
        raise ShapeError("There is no image to show.")
    for tile, name in tiles:
        if tile.ndim != 3 or tile.shape[0] not in (1, 3):
            raise ShapeError(f"An image has shape (1, H, W) or (3, H, W), but {name!r} has {tuple(tile.shape)}.")
    columns = columns or len(tiles)
    rows = math.ceil(len(tiles) / columns)
    width = height * max(tile.shape[2] / tile.shape[1] for tile, _ in tiles)
    drawn = figure(columns * width + 0.1, rows * (height + 0.3) + (0.3 if title else 0))
    for number, (tile, name) in enumerate(tiles):
        ax = drawn.add_subplot(rows, columns, number + 1)
        pixels = tile.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy()
        ax.imshow(pixels[..., 0] if len(tile) == 1 else pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        bare(ax, printable(name))
    if title:
        drawn.suptitle(plotted(title, WIDE), fontsize=11)
    return drawn
