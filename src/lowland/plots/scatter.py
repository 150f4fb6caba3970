"""Scatter plots by class, with points or small images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import FAMILIES, INK, bare, figure
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
    """Points in a plane, without axes, which have no meaning for representations.

    Args:
        points: (N, 2).
        labels: (N,) int64, which decide colour and marker; below 0 for none.
        names: of the classes; a legend has up to 24.
        pictures: (N, C, H, W) in [0, 1], drawn instead of points, with a frame in the colour of the class.
        title: above the plot.

    Raises:
        ShapeError: for points that are not in a plane.

    >>> import torch
    >>> len(scatter(torch.rand(9, 2), torch.arange(9) % 3, ("a", "b", "c")).axes[0].collections)
    3
    """
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError(f"A scatter plot needs points (N, 2), but they are {tuple(points.shape)}.")
    drawn = figure(6.4 if labels is None or pictures is not None else 7.4, 4.6)
    ax = drawn.add_subplot()
    place = points.detach().cpu().double().numpy()
    if pictures is not None:
        _draw_pictures(ax, place, pictures, labels)
    elif labels is None:
        ax.scatter(*place.T, s=14, color=FAMILIES[0], alpha=0.7, linewidths=0)
    else:
        _draw_classes(ax, place, labels.cpu().numpy(), names)
    bare(ax, title, 10)
    return drawn


def scatter_panels(
    panels: Mapping[str, Tensor], labels: Tensor, names: Sequence[str], columns: int = 5, size: float = 1.75
) -> Figure:
    """The same points in several planes, one panel each, with one legend for all.

    Args:
        panels: by title, (N, 2).
        labels: (N,) int64, which decide the colour; from the eleventh class on colours repeat.
        names: of the classes.
        columns: maximum number of panels per row.
        size: width of a panel, in inches.

    Raises:
        ShapeError: for points that are not in a plane, or if there are none.

    >>> import torch
    >>> len(scatter_panels({"a": torch.rand(9, 2), "b": torch.rand(9, 2)}, torch.arange(9) % 2, "xy").axes)
    2
    """
    if not panels or any(points.ndim != 2 or points.shape[1] != 2 for points in panels.values()):
        raise ShapeError(f"Panels need points (N, 2), but they are {[tuple(one.shape) for one in panels.values()]}.")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    drawn = figure(size * columns, (size + 0.1) * rows + 0.5)
    # Eight colour-blind-safe colours, then black and a dark red.
    colours = [([*FAMILIES, INK, "#8c2d04"])[index % 10] for index in range(len(names))]
    for number, (name, points) in enumerate(panels.items()):
        ax = drawn.add_subplot(rows, columns, number + 1)
        bare(ax, name)
        x, y = points.detach().cpu().double().numpy().T
        ax.scatter(x, y, s=1.6, c=[colours[label] for label in labels.tolist()], linewidths=0, rasterized=True)
    first = drawn.axes[0]
    handles = [
        first.scatter([], [], s=16, c=[c], label=plotted(str(name))) for c, name in zip(colours, names, strict=True)
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=7.5, labelcolor=INK)
    return drawn


def _draw_pictures(ax: Axes, place: np.ndarray, pictures: Tensor, labels: Tensor | None) -> None:
    ax.scatter(*place.T, s=0)
    classes = None if labels is None else labels.unique(return_inverse=True)[1].tolist()
    for number, ((x, y), picture) in enumerate(zip(place, pictures.detach().cpu(), strict=True)):
        pixels = picture.clamp(0, 1).permute(1, 2, 0).expand(-1, -1, 3).numpy()
        image = OffsetImage(pixels, zoom=26 / max(pixels.shape[:2]), interpolation="bilinear")
        if classes is None:
            ax.add_artist(AnnotationBbox(image, (x, y), frameon=False, pad=0))
            continue
        kind, repeat = classes[number] % len(FAMILIES), classes[number] // len(FAMILIES)
        frame = {"edgecolor": FAMILIES[kind], "linewidth": 1.6, "linestyle": ":" if repeat else "-"}
        ax.add_artist(AnnotationBbox(image, (x, y), pad=0.12, bboxprops=frame))
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
