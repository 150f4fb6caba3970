"""The parts of a landscape plot: energy and contours, the level set, descent arrows, data, paths, thumbnails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from torch import Tensor

from lowland.errors import OptionError
from lowland.plots.field import Field
from lowland.plots.plane import Plane
from lowland.plots.style import GOLD, INK, LAND, ORANGE, PAPER, bare
from lowland.words import plotted


def draw_field(ax: Axes, field: Field, *, arrows: bool, small: bool = False) -> None:
    """Draw the energy, its contours and level set, arrows and data into the axes."""
    values, level = field.values.double().numpy(), colour_levels(field)
    (left, right), (bottom, top) = field.bounds
    shown = {"cmap": LAND, "norm": Normalize(0, 1), "interpolation": "bilinear", "zorder": 0}
    ax.imshow(np.ma.masked_invalid(level), extent=(left, right, bottom, top), origin="lower", **shown)
    rows, columns = level.shape
    across = left + (np.arange(columns) + 0.5) * (right - left) / columns
    up = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    if np.nanmin(level, initial=1.0) < np.nanmax(level, initial=0.0):
        thin = {"colors": PAPER, "alpha": 0.35, "linewidths": 0.35 if small else 0.6, "zorder": 1}
        ax.contour(across, up, level, levels=np.linspace(0.15, 0.95, 9), **thin)
        if arrows and field.points is not None and field.directions is not None:
            _arrows(ax, field, level, small)
        finite = values[np.isfinite(values)]
        if field.level is not None and finite.min() < field.level < finite.max():
            line = {"levels": [field.level], "colors": ORANGE, "linewidths": 0.8 if small else 1.4, "zorder": 4}
            ax.contour(across, up, values, **line)
    if field.data is not None and field.on_plane is not None:
        _dots(ax, field.data, field.on_plane, small)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def colour_levels(field: Field) -> np.ndarray:
    """Colour of each cell in [0, 1]; NaN where the energy is not finite, ½ everywhere if it is flat up to rounding.

    √((F − low) / (high − low)) clipped, with low the lower of the 1 % quantiles of the grid and of the data, and high
    the 95 % quantile of the grid. The square root gives the low-energy region most of the colour range.
    """
    values = field.values.double()
    finite = values[torch.isfinite(values)]
    if not len(finite):
        return np.full(values.shape, np.nan)
    low, high = torch.quantile(finite, torch.tensor([0.01, 0.95], dtype=torch.float64))
    size = finite.abs().max()
    if field.energies is not None and bool((known := torch.isfinite(field.energies)).any()):
        of_data = field.energies[known].double()
        low, size = torch.minimum(low, torch.quantile(of_data, 0.01)), torch.maximum(size, of_data.abs().max())
    rounding = 1e-6 * size.clamp_min(torch.finfo(torch.float32).tiny)
    if not torch.quantile(finite, 0.95) - torch.quantile(finite, 0.01) > rounding:
        return np.where(torch.isfinite(values).numpy(), 0.5, np.nan)
    return ((values - low) / (high - low)).clamp(0, 1).sqrt().numpy()


def _arrows(ax: Axes, field: Field, level: np.ndarray, small: bool) -> None:
    assert field.points is not None
    assert field.directions is not None
    points, slopes = field.points.double().numpy(), field.directions.double().numpy()
    steep = np.linalg.norm(slopes, axis=1)
    good = np.isfinite(steep) & (steep > 0)
    if not good.any():
        return
    points, slopes, steep = points[good], slopes[good], steep[good]
    units = slopes / (steep + 0.3 * np.median(steep))[:, None]
    (left, right), (bottom, top) = field.bounds
    cells = (points - (left, bottom)) / (right - left, top - bottom) * level.shape[::-1]
    columns, rows = cells.astype(int).clip(0, np.array(level.shape[::-1]) - 1).T
    on_light = np.nan_to_num(level[rows, columns], nan=1.0) > 0.55
    spacing = (right - left) / math.sqrt(len(field.points))
    head = {"headwidth": 3.8, "headlength": 4.2, "headaxislength": 3.6, "width": 0.0055 if small else 0.0034}
    for chosen, colour in ((~on_light, PAPER), (on_light, INK)):
        style: dict[str, Any] = {"color": colour, "alpha": 0.62, "pivot": "mid", "zorder": 2} | head
        scale: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1.45 / spacing}
        ax.quiver(*points[chosen].T, *units[chosen].T, **scale, **style)


def _dots(ax: Axes, data: Tensor, on_plane: Tensor, small: bool) -> None:
    points, here = data.double().cpu().numpy(), on_plane.cpu().numpy()
    few = here.sum() <= 12
    size = (1.4 if small else 5.0) * min(1.0, math.sqrt(400 / max(len(points), 1))) + (0.3 if small else 1.5)
    if not here.any():
        ax.scatter(*points.T, s=size, c=GOLD, alpha=0.4, linewidths=0, zorder=3)
        return
    edge = 0.5 if few else 0.0 if small else 0.15
    big = 16 if small else 60
    ax.scatter(*points[here].T, s=big if few else size, c=GOLD, alpha=0.9, edgecolors=INK, linewidths=edge, zorder=5)


def draw_paths(ax: Axes, trajectories: Tensor | Sequence[Tensor], plane: Plane | None) -> None:
    """Paths of inference: a line from an open circle to a filled one."""
    paths = trajectories.unbind(dim=1) if isinstance(trajectories, Tensor) and trajectories.ndim > 2 else trajectories
    for path in [paths] if isinstance(paths, Tensor) else paths:
        line = (path if plane is None else plane.project(path)).detach().double().cpu().numpy()
        ax.plot(*line.T, color=PAPER, linewidth=2.6, alpha=0.9, solid_capstyle="round", zorder=5)
        ax.plot(*line.T, color=ORANGE, linewidth=1.5, solid_capstyle="round", zorder=6)
        ax.scatter(*line[:1].T, s=26, c=PAPER, edgecolors=ORANGE, linewidths=1.3, zorder=7)
        ax.scatter(*line[-1:].T, s=34, c=ORANGE, edgecolors=PAPER, linewidths=1.1, zorder=8)


def draw_thumbnails(ax: Axes, field: Field, pictures: Tensor) -> None:
    """A small image beside each data point that lies on the plane."""
    if field.data is None or field.on_plane is None or len(pictures) != len(field.data):
        raise OptionError("Thumbnails need data: one image per data point.")
    (left, right), (bottom, top) = field.bounds
    for point, picture in zip(field.data[field.on_plane], pictures[field.on_plane.cpu()], strict=True):
        u, v = (float(point[0]) - left) / (right - left), (float(point[1]) - bottom) / (top - bottom)
        corner = [min(max(place + 0.025, 0.01), 0.84) for place in (u, v)]
        inset = ax.inset_axes((corner[0], corner[1], 0.15, 0.15), zorder=9)
        inset.imshow(picture.squeeze().cpu().numpy(), cmap="gray_r", interpolation="nearest")
        bare(inset)
        for spine in inset.spines.values():
            spine.set(color=GOLD, linewidth=1.4)


def draw_names(ax: Axes, names: Mapping[str, Tensor]) -> None:
    """A dot at each point (2,), and its name: towards the middle across, and above the upper half of the points."""
    middle = sum(ax.get_xlim()) / 2
    height = median(float(point[1]) for point in names.values()) if names else 0.0
    for name, point in names.items():
        place = (float(point[0]), float(point[1]))
        right, up = place[0] < middle, place[1] >= height
        ax.plot(*place, "o", color=GOLD, mec=INK, mew=0.8, ms=8, zorder=11)
        ax.annotate(
            plotted(name), place, xytext=(8 if right else -8, 7 if up else -20), textcoords="offset points",
            ha="left" if right else "right", fontsize=12, color=INK, zorder=10,
            bbox={"boxstyle": "round,pad=0.2", "fc": PAPER, "ec": "none", "alpha": 0.75},
        )  # fmt: skip
