"""Images with their nearest neighbours, one row each."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import ORANGE, bare, figure

_EDGE, _WIDTH = 2, 4.0


def retrieval(queries: Tensor, neighbours: Tensor, wrong: Tensor | None = None) -> Figure:
    """One row per query: the image, a gap, and its neighbours, in their true brightness.

    Args:
        queries: (M, C, H, W) in [0, 1], with one or three channels.
        neighbours: (M, k, C, H, W).
        wrong: (M, k) bool; these get an orange frame.

    Raises:
        ShapeError: for tensors that do not fit together.

    >>> drawn = retrieval(torch.rand(3, 1, 8, 8), torch.rand(3, 2, 1, 8, 8), torch.eye(3, 2) > 0)
    >>> len(drawn.axes[0].patches)
    2
    """
    if queries.ndim != 4 or queries.shape[1] not in (1, 3) or neighbours.shape[2:] != queries.shape[1:]:
        raise ShapeError(
            "A retrieval sheet needs queries (M, C, H, W) with 1 or 3 channels and neighbours (M, k, C, H, W), not "
            f"{tuple(queries.shape)} and {tuple(neighbours.shape)}."
        )
    (count, channels, height, width), found = queries.shape, neighbours.shape[1]
    tall, wide, gap = height + 2 * _EDGE, width + 2 * _EDGE, width // 2
    sheet = torch.ones(count * tall, (1 + found) * wide + gap, channels)
    drawn = figure(_WIDTH, _WIDTH * sheet.shape[0] / sheet.shape[1])
    ax = drawn.add_subplot()
    for row in range(count):
        for column, tile in enumerate((queries[row], *neighbours[row])):
            top, left = row * tall + _EDGE, column * wide + _EDGE + (gap if column else 0)
            pixels = tile.detach().float().cpu().clamp(0, 1)
            sheet[top : top + height, left : left + width] = pixels.permute(1, 2, 0)
            if column and wrong is not None and bool(wrong[row, column - 1]):
                corner = (left - 1.5, top - 1.5)
                ax.add_patch(Rectangle(corner, width + 2, height + 2, fill=False, edgecolor=ORANGE, linewidth=1.6))
    ax.imshow(sheet.expand(-1, -1, 3).numpy(), interpolation="nearest")
    bare(ax)
    ax.axis("off")
    return drawn
