"""Points in a plane by class, or small pictures in their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import FAMILIES, bare, figure
from lowland.words import plotted

_MARKS = "osD^v<>P"
_NAMED = 24


def scatter(
    points: Tensor,
    labels: Tensor | None = None,
    names: Sequence[str] = (),
    pictures: Tensor | None = None,
    title: str | None = None,
) -> Figure:
    """Points of a plane, without axes, which mean nothing in a picture of representations.

    Args:
        points: (N, 2).
        labels: (N,) int64, a colour and a mark for each class; below 0 for none.
        names: of the classes; a legend has up to 24.
        pictures: (N, C, H, W) in [0, 1], drawn in the place of points.
        title: above.

    Raises:
        ShapeError: for points that are not in a plane.

    >>> import torch
    >>> len(scatter(torch.rand(9, 2), torch.arange(9) % 3, ("a", "b", "c")).axes[0].collections)
    3
    """
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError(f"A scatter plot needs points (N, 2), but they are {tuple(points.shape)}.")
    drawn = figure(6.4 if labels is None else 7.4, 4.6)
    ax = drawn.add_subplot()
    place = points.detach().cpu().double().numpy()
    if pictures is not None:
        _draw_pictures(ax, place, pictures)
    elif labels is None:
        ax.scatter(*place.T, s=14, color=FAMILIES[0], alpha=0.7, linewidths=0)
    else:
        _draw_classes(ax, place, labels.cpu().numpy(), names)
    bare(ax, title, 10)
    return drawn


def _draw_pictures(ax: Axes, place: np.ndarray, pictures: Tensor) -> None:
    ax.scatter(*place.T, s=0)
    for (x, y), picture in zip(place, pictures.detach().cpu(), strict=True):
        pixels = picture.clamp(0, 1).permute(1, 2, 0).expand(-1, -1, 3).numpy()
        image = OffsetImage(pixels, zoom=26 / max(pixels.shape[:2]), interpolation="bilinear")
        ax.add_artist(AnnotationBbox(image, (x, y), frameon=False, pad=0))
    ax.margins(0.06)


def _draw_classes(ax: Axes, place: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> None:
    for label in np.unique(labels):
        mine = labels == label
        known = label >= 0
        colour = FAMILIES[label % len(FAMILIES)] if known else "#c8ccd4"
        mark = _MARKS[label // len(FAMILIES) % len(_MARKS)] if known else "."
        name = names[label] if known and label < len(names) else "no label"
        ax.scatter(*place[mine].T, s=16, color=colour, marker=mark, alpha=0.8, linewidths=0, label=plotted(str(name)))
    if len(names) <= _NAMED:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
