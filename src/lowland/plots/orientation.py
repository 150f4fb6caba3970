"""A sheet of units in the colours of their orientations."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import INK, bare, figure
from lowland.words import plotted


def orientation_map(
    angle: Tensor, selectivity: Tensor, sheet: tuple[int, int], title: str | None = "Orientations"
) -> Figure:
    """Each unit in the hue of its orientation, with a bar along its stripes; paler for lower selectivity.

    Args:
        angle, selectivity: (rows · columns,), of `lowland.evaluation.orientation`.
        sheet: (rows, columns).
        title: above the map.

    Raises:
        ShapeError: if the units do not fill the sheet.

    >>> import torch
    >>> len(orientation_map(torch.zeros(6), torch.ones(6), (2, 3)).axes[0].lines)
    6
    """
    if not angle.shape == selectivity.shape == (sheet[0] * sheet[1],):
        raise ShapeError(f"A sheet of {sheet} has {sheet[0] * sheet[1]} units, not {tuple(angle.shape)}.")
    angle, selectivity = angle.detach().cpu(), selectivity.detach().cpu()
    drawn = figure(4.4, 4.6)
    ax = drawn.add_subplot()
    hue = colormaps["hsv"](((angle / math.pi) % 1).numpy())[:, :3]
    full = (selectivity / selectivity.max()).clamp(0, 1).numpy()[:, None]
    ax.imshow((1 - full + full * hue).reshape(*sheet, 3), interpolation="nearest")
    rows, columns = np.divmod(np.arange(sheet[0] * sheet[1]), sheet[1])
    # Stripes run at a right angle to the direction in which an atom varies.
    across, down = -0.38 * np.sin(angle.numpy()), 0.38 * np.cos(angle.numpy())
    ends = np.stack([np.stack([columns - across, columns + across]), np.stack([rows - down, rows + down])])
    ax.plot(*ends, color=INK, linewidth=0.9, alpha=0.75)
    bare(ax)
    if title:
        ax.set_title(plotted(title), fontsize=10, color=INK, loc="left", pad=6)
    return drawn
