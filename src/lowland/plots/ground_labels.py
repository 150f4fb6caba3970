"""Labels of places on the ground, painted over the pictures in which they were seen.

Legend: N places, H and W rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import BLUE, INK, ORANGE, bare, figure
from lowland.words import plotted

_OPAQUE = 0.6
_WIDE, _LEGEND = 2.6, 0.3


def painted(image: Tensor, u: Tensor, v: Tensor, labels: Tensor) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with a patch of colour at each place: blue for label 0, orange for 1, none for others.

    Places of one row are as wide as they are apart; a patch is as high as the gap to the next row below.

    Args:
        image: uint8 (3, H, W).
        u, v: (N,) column and row of each place, in rows of places that have the same distance and follow one another.
        labels: (N,).

    Raises:
        ShapeError: if places and labels differ in number.

    >>> import torch
    >>> place = torch.tensor([4.0, 12.0])
    >>> black = torch.zeros(3, 8, 16, dtype=torch.uint8)
    >>> drawn = painted(black, place, torch.tensor([4.0, 4.0]), torch.tensor([0, -1]))
    >>> drawn[4, 4].any(), drawn[4, 12].any()
    (np.True_, np.False_)
    """
    if not u.shape == v.shape == labels.shape:
        raise ShapeError(f"Each place needs a column, a row and a label, not {len(u)}, {len(v)} and {len(labels)}.")
    found = image.movedim(0, 2).numpy().astype(float)
    height, width = found.shape[:2]
    colours = {0: 255 * np.array(to_rgb(BLUE)), 1: 255 * np.array(to_rgb(ORANGE))}
    columns, rows = u.numpy().astype(float), v.numpy().astype(float)
    gaps = np.abs(np.diff(columns))
    wide = np.append(gaps, gaps[-1:]) if len(gaps) else np.array([8.0])
    wide = np.minimum(wide, np.append(wide[:1], wide[:-1])) / 2
    # Rows of places start where the column jumps back.
    starts = np.flatnonzero(np.append(True, np.diff(columns) < 0))
    middles = [float(np.median(part)) for part in np.split(rows, starts[1:])]
    level = np.searchsorted(starts, np.arange(len(rows)), side="right") - 1
    high = np.abs(np.gradient(middles)) / 2 if len(middles) > 1 else np.array([4.0])
    for number, label in enumerate(labels.tolist()):
        if label in colours:
            tall = max(0.5, high[level[number]])
            top, bottom = (round(rows[number] + side * tall) for side in (-1, 1))
            left, right = (round(columns[number] + side * wide[number]) for side in (-1, 1))
            part = np.s_[max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
            found[part] = (1 - _OPAQUE) * found[part] + _OPAQUE * colours[label]
    return found.round().astype(np.uint8)


def ground_labels(rows: Mapping[str, Sequence[NDArray[np.uint8]]], names: tuple[str, str]) -> Figure:
    """Named rows of pictures of one size, such as `painted` makes, and what blue and orange mean.

    Raises:
        ShapeError: without rows, or if they differ in length.

    >>> drawn = ground_labels({"truth": [np.zeros((8, 16, 3), np.uint8)] * 2}, ("can be driven on", "cannot"))
    >>> drawn.axes[0].get_ylabel(), [text.get_text() for text in drawn.legends[0].get_texts()]
    ('truth', ['can be driven on', 'cannot'])
    """
    counts = {len(pictures) for pictures in rows.values()}
    if len(counts) != 1 or 0 in counts:
        raise ShapeError(f"Rows need as many pictures each, one or more, not {sorted(counts)}.")
    count = counts.pop()
    height, width = next(iter(rows.values()))[0].shape[:2]
    drawn = figure(_WIDE * count + 1.1, _WIDE * height / width * len(rows) + _LEGEND)
    panels = drawn.subplots(len(rows), count, squeeze=False)
    for line, (name, pictures) in zip(panels, rows.items(), strict=True):
        for ax, picture in zip(line, pictures, strict=True):
            ax.imshow(picture, interpolation="nearest")
            bare(ax)
        line[0].set_ylabel(plotted(name), fontsize=8.5, color=INK, rotation=0, ha="right", va="center")
    handles = [Patch(color=colour, label=plotted(name)) for colour, name in zip((BLUE, ORANGE), names, strict=True)]
    drawn.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return drawn
