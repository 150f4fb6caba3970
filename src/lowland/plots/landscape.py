"""The landscape: one picture for every energy, drawn alike so that two energies can be compared at a glance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from lowland.errors import OptionError
from lowland.evaluation.energy_gap import Score
from lowland.evaluation.volume import Bounds
from lowland.plots.field import Field, measure
from lowland.plots.plane import Plane
from lowland.plots.style import (
    FAMILIES,
    GOLD,
    INK,
    LAND,
    LAND_HIGH,
    LAND_LOW,
    MUTED,
    ORANGE,
    PAPER,
    bare,
    columns_for,
    figure,
    owner,
)
from lowland.solvers.base import Solver


def landscape(
    energy: Score | Field,
    bounds: Bounds | None = None,
    data: Tensor | None = None,
    *,
    x: Any = None,
    solver: Solver | None = None,
    beta: float = math.inf,
    resolution: int = 120,
    arrows: bool = True,
    trajectories: Tensor | Sequence[Tensor] | None = None,
    plane: Plane | None = None,
    thumbnails: Tensor | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """F(x, y) over the plane: dark is low. With −∇F arrows, data, the shore of the low land and paths of inference.

    Energies have no common unit, so colour is (F − low) / (high − low) clipped to [0, 1] and square-rooted, where low
    is the 1 % quantile of the data's energies (of the grid's, without data) and high the 95 % quantile of the grid's.
    The orange line, the shore, is the energy that 95 % of the data stay below. Arrows show direction; they shrink where
    the slope is below the median slope.

    Args:
        energy: an energy over (N, 2), or over more coordinates with a `plane`; a function (N, ...) → (N,); or what
            `measure` returned, in which case data, bounds and the like come with it.
        bounds, data, x, solver, beta, resolution, plane: see `measure`. Data off the plane are drawn faint, where they
            project to; the shore uses the energies that they really have.
        arrows: draw −∇F.
        trajectories: (T, B, 2), or a sequence of (T, 2), in the coordinates of the picture; (T, B, ...) with a plane.
        thumbnails: (N, H, W) images to be drawn at the data that lie on the plane.
        ax: axes to draw in; by default those of a new figure.
        title: above the picture.

    Returns:
        The figure.

    >>> import lowland as ll
    >>> drawn = landscape(lambda y: y.square().sum(dim=1), ((-1, 1), (-1, 1)), resolution=20, title="A bowl")
    >>> drawn.axes[0].get_title()
    'A bowl'
    """
    if isinstance(energy, Field):
        field = energy
    else:
        settings = {"x": x, "solver": solver, "beta": beta, "resolution": resolution, "plane": plane}
        field = measure(energy, bounds, data, arrows=15 if arrows else 0, **settings)
    if ax is None:
        ax = figure(5.0, 5.2).add_subplot()
    draw_field(ax, field, arrows=arrows)
    if trajectories is not None:
        draw_paths(ax, trajectories, plane)
    if thumbnails is not None:
        _thumbnails(ax, field, thumbnails)
    bare(ax, title, 12)
    return owner(ax)


def landscape_grid(
    energies: Mapping[str, Score | Field],
    bounds: Bounds | None = None,
    data: Tensor | None = None,
    *,
    captions: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
    columns: int | None = None,
    resolution: int = 80,
    arrows: bool = True,
    plane: Plane | None = None,
    solvers: Mapping[str, Solver] | None = None,
    title: str | None = None,
) -> Figure:
    """Landscapes side by side, all treated alike, for one glance over many energies.

    Args:
        energies: by the title of their panel.
        bounds, data, resolution, plane: the same for all; see `landscape`.
        captions: a second line below a panel, by title.
        families: what a panel belongs to, by title: a coloured bar over the panel and a legend.
        columns: by default what fills a page.
        arrows: draw −∇F.
        solvers: by title, for those energies that are to use one of their own.
        title: above all.

    Raises:
        OptionError: without energies, or for captions, families or solvers of an energy that is not there.
    """
    if not energies:
        raise OptionError("A grid of landscapes needs at least one energy.")
    for name in [*(captions or {}), *(families or {}), *(solvers or {})]:
        if name not in energies:
            raise OptionError(f"There is no panel called {name!r}: the panels are {', '.join(energies)}.")
    columns = columns or columns_for(len(energies))
    rows = math.ceil(len(energies) / columns)
    drawn = figure(1.62 * columns, (1.62 + 0.30 + (0.18 if captions else 0)) * rows + 0.42 + (0.4 if title else 0))
    drawn.get_layout_engine().set(w_pad=0.045, h_pad=0.05, wspace=0.0, hspace=0.0)  # type: ignore[union-attr]
    panels = np.atleast_1d(drawn.subplots(rows, columns, squeeze=False)).ravel()
    colours = dict(zip(dict.fromkeys((families or {}).values()), FAMILIES * 4, strict=False))
    for panel, (name, energy) in zip(panels, energies.items(), strict=False):
        if not isinstance(energy, Field):
            solver = (solvers or {}).get(name)
            energy = measure(
                energy, bounds, data, resolution=resolution, arrows=11 if arrows else 0, plane=plane, solver=solver
            )
        draw_field(panel, energy, arrows=arrows, small=True)
        bare(panel, name, 8.0)
        if families and name in families:
            panel.plot(
                [0, 1],
                [1.012, 1.012],
                transform=panel.transAxes,
                color=colours[families[name]],
                linewidth=2.6,
                solid_capstyle="butt",
                clip_on=False,
            )
        if captions and name in captions:
            panel.set_xlabel(captions[name], fontsize=6.8, color=MUTED, labelpad=2.5)
    for panel in panels[len(energies) :]:
        panel.set_visible(False)
    _legend(drawn, colours)
    if title:
        drawn.suptitle(title, fontsize=14, color=INK, x=0.012, ha="left", fontweight="bold")
    return drawn


def draw_field(ax: Axes, field: Field, *, arrows: bool, small: bool = False) -> None:
    """The land, its contours and shore, arrows and data, into the axes given."""
    values = field.values.double().numpy()
    level = _level(field)
    (left, right), (bottom, top) = field.bounds
    box = (left, right, bottom, top)
    ax.imshow(
        np.ma.masked_invalid(level),
        extent=box,
        origin="lower",
        cmap=LAND,
        norm=Normalize(0, 1),
        interpolation="bilinear",
        zorder=0,
    )
    rows, columns = level.shape
    across = left + (np.arange(columns) + 0.5) * (right - left) / columns
    up = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    if np.unique(level[np.isfinite(level)]).size > 1:
        ax.contour(
            across,
            up,
            level,
            levels=np.linspace(0.15, 0.95, 9),
            colors=PAPER,
            alpha=0.35,
            linewidths=0.35 if small else 0.6,
            zorder=1,
        )
    if arrows and field.points is not None and field.directions is not None:
        _arrows(ax, field, level, small)
    if field.data is not None and field.on_plane is not None:
        _dots(ax, field.data, field.on_plane, small)
    shore = field.shore
    finite = values[np.isfinite(values)]
    if shore is not None and finite.size and finite.min() < shore < finite.max():
        ax.contour(across, up, values, levels=[shore], colors=ORANGE, linewidths=0.8 if small else 1.5, zorder=4)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def _level(field: Field) -> np.ndarray:
    """Colour of each cell in [0, 1]; all alike where the energy is flat to rounding."""
    values = field.values.double()
    finite = values[torch.isfinite(values)]
    if not len(finite):
        return np.full(values.shape, np.nan)
    known = finite if field.energies is None else field.energies[torch.isfinite(field.energies)].double()
    low = torch.quantile(known if len(known) else finite, 0.01)
    high = torch.quantile(finite, 0.95)
    scale = high - low
    if not scale > 1e-6 * finite.abs().max().clamp_min(torch.finfo(torch.float32).tiny):
        return np.where(torch.isfinite(values).numpy(), 0.5, np.nan)
    return ((values - low) / scale).clamp(0, 1).sqrt().numpy()


def _arrows(ax: Axes, field: Field, level: np.ndarray, small: bool) -> None:
    assert field.points is not None
    assert field.directions is not None
    points, slopes = field.points.double().numpy(), field.directions.double().numpy()
    steep = np.linalg.norm(slopes, axis=1)
    good = np.isfinite(steep) & (steep > 0)
    if not good.any():
        return
    length = steep[good] / (steep[good] + 0.3 * np.median(steep[good]))
    units = slopes[good] / steep[good][:, None] * length[:, None]
    (left, right), (bottom, top) = field.bounds
    columns = ((points[good, 0] - left) / (right - left) * level.shape[1]).astype(int).clip(0, level.shape[1] - 1)
    rows = ((points[good, 1] - bottom) / (top - bottom) * level.shape[0]).astype(int).clip(0, level.shape[0] - 1)
    light = np.nan_to_num(level[rows, columns], nan=1.0) > 0.55
    spacing = (right - left) / math.sqrt(len(points))
    for dark, colour in ((True, PAPER), (False, INK)):
        chosen = light != dark
        ax.quiver(
            *points[good][chosen].T,
            *units[chosen].T,
            color=colour,
            alpha=0.62,
            angles="xy",
            scale_units="xy",
            scale=1.45 / spacing,
            width=0.0055 if small else 0.0034,
            headwidth=3.8,
            headlength=4.2,
            headaxislength=3.6,
            pivot="mid",
            zorder=2,
        )


def _dots(ax: Axes, data: Tensor, on_plane: Tensor, small: bool) -> None:
    count = len(data)
    size = (1.4 if small else 5.0) * min(1.0, math.sqrt(400 / max(count, 1))) + (0.3 if small else 1.5)
    points, here = data.double().cpu().numpy(), on_plane.cpu().numpy()
    ax.scatter(*points[~here].T, s=size, c=GOLD, alpha=0.35, linewidths=0, zorder=3)
    ax.scatter(
        *points[here].T,
        s=size if count > 12 else 60,
        c=GOLD,
        alpha=0.85,
        edgecolors=INK,
        linewidths=0 if small else 0.15,
        zorder=3,
    )


def draw_paths(ax: Axes, trajectories: Tensor | Sequence[Tensor], plane: Plane | None) -> None:
    """Paths of inference: a line from an open circle to a full one."""
    paths = trajectories.unbind(dim=1) if isinstance(trajectories, Tensor) and trajectories.ndim > 2 else trajectories
    for path in [paths] if isinstance(paths, Tensor) else paths:
        line = (path if plane is None else plane.project(path)).detach().double().cpu().numpy()
        ax.plot(*line.T, color=PAPER, linewidth=2.6, alpha=0.9, solid_capstyle="round", zorder=5)
        ax.plot(*line.T, color=ORANGE, linewidth=1.5, solid_capstyle="round", zorder=6)
        ax.scatter(*line[:1].T, s=26, c=PAPER, edgecolors=ORANGE, linewidths=1.3, zorder=7)
        ax.scatter(*line[-1:].T, s=34, c=ORANGE, edgecolors=PAPER, linewidths=1.1, zorder=8)


def _thumbnails(ax: Axes, field: Field, pictures: Tensor) -> None:
    if field.data is None or field.on_plane is None or len(pictures) != len(field.data):
        raise OptionError("Thumbnails need data: one picture for each data point.")
    (left, right), (bottom, top) = field.bounds
    for point, picture in zip(field.data[field.on_plane], pictures[field.on_plane.cpu()], strict=True):
        u, v = (float(point[0]) - left) / (right - left), (float(point[1]) - bottom) / (top - bottom)
        inset = ax.inset_axes((u + 0.025, v + 0.025, 0.15, 0.15), zorder=9)
        inset.imshow(picture.squeeze().cpu().numpy(), cmap="gray_r", interpolation="nearest")
        bare(inset)
        for spine in inset.spines.values():
            spine.set(color=GOLD, linewidth=1.4)


def _legend(drawn: Figure, colours: Mapping[str, str]) -> None:
    entries = [
        Line2D([], [], color=LAND_LOW, marker="s", markersize=7, linestyle="none", label="low energy"),
        Line2D(
            [],
            [],
            color=LAND_HIGH,
            marker="s",
            markersize=7,
            linestyle="none",
            label="high",
            markeredgecolor=MUTED,
            markeredgewidth=0.5,
        ),
        Line2D([], [], color=ORANGE, linewidth=1.4, label="shore: 95 % of the data lie below"),
        Line2D(
            [],
            [],
            color=GOLD,
            marker="o",
            markersize=4.5,
            linestyle="none",
            label="data",
            markeredgecolor=INK,
            markeredgewidth=0.3,
        ),
    ]
    entries += [Line2D([], [], color=colour, linewidth=3.2, label=family) for family, colour in colours.items()]
    drawn.legend(
        handles=entries,
        loc="outside lower center",
        ncols=min(len(entries), 12),
        frameon=False,
        fontsize=7.5,
        labelcolor=INK,
        handlelength=1.3,
        columnspacing=1.6,
        handletextpad=0.5,
    )
