"""The landscape: one kind of plot for every energy, so that energies can be compared at a glance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor

from lowland.errors import OptionError
from lowland.evaluation.energy_gap import Score
from lowland.evaluation.volume import Bounds
from lowland.plots.drawing import draw_field, draw_names, draw_paths, draw_thumbnails
from lowland.plots.field import Field, measure
from lowland.plots.plane import Plane, plane_through
from lowland.plots.style import (
    FAMILIES,
    GOLD,
    INK,
    LAND,
    MUTED,
    ORANGE,
    WIDE,
    bare,
    columns_for,
    figure,
    owner,
)
from lowland.solvers.base import Solver
from lowland.words import plotted, printable

_PANEL = 1.62
"""Width of one panel of a grid, in inches."""


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
    names: Mapping[str, Tensor] | None = None,
    ax: Axes | None = None,
    size: tuple[float, float] = (5.0, 5.2),
    title: str | None = None,
) -> Figure:
    """F(x, y) over the plane: dark is low. Optionally with −∇F arrows, data, a level set and paths of inference.

    Energies have no common unit, so colour is (F − low) / (high − low) clipped to [0, 1] and square-rooted, where low
    is the lower of the 1 % quantiles of the grid's energies and the data's, and high the 95 % quantile of the grid's.
    The orange line is the level set of the energy that 95 % of the data stay below. Arrows show direction; they shrink
    where the slope is below the median slope.

    Args:
        energy: an energy over (N, 2), or over more coordinates with a `plane`; a function (N, ...) → (N,); or what
            `measure` returned, which already has data, bounds etc.
        bounds, data, x, solver, beta, resolution, plane: see `measure`. In many dimensions only data on the plane are
            drawn, or, if there are none, the projections of all data, faint. The level set uses their true energies.
        arrows: draw −∇F.
        trajectories: (T, B, 2), or a sequence of (T, 2), in the coordinates of the plot; (T, B, ...) with a plane.
        thumbnails: (N, H, W) images to draw at the data points that lie on the plane.
        names: points (2,) of the plot to mark, by their names.
        ax: axes to draw into; by default those of a new figure of this `size`, in inches.
        title: above the plot.

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
        ax = figure(*size).add_subplot()
    draw_field(ax, field, arrows=arrows)
    if trajectories is not None:
        draw_paths(ax, trajectories, plane)
    if thumbnails is not None:
        draw_thumbnails(ax, field, thumbnails)
    if names is not None:
        draw_names(ax, names)
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
    """Landscapes side by side, all drawn in the same way, to compare many energies.

    Args:
        energies: by panel title.
        bounds, data, resolution, plane: the same for all; see `landscape`.
        captions: a second line below a panel, by title.
        families: the family of a panel, by title, shown as a coloured bar above the panel and in a legend.
        columns: by default as many as fill a page well.
        arrows: draw −∇F.
        solvers: by title, for energies that need their own solver.
        title: above all panels.

    Raises:
        OptionError: without energies, or for captions, families or solvers of an unknown panel.
    """
    if not energies:
        raise OptionError("A grid of landscapes needs at least one energy.")
    for name in [*(captions or {}), *(families or {}), *(solvers or {})]:
        if name not in energies:
            raise OptionError(f"There is no panel called {name!r}: the panels are {', '.join(energies)}.")
    columns = columns or columns_for(len(energies))
    rows = math.ceil(len(energies) / columns)
    row = _PANEL + 0.2 + (0.2 if captions else 0)
    drawn = figure(_PANEL * columns, row * rows + 0.3 + (0.4 if title else 0), layout="compressed")
    panels = drawn.subplots(rows, columns, squeeze=False).ravel()
    colours = dict(zip(dict.fromkeys((families or {}).values()), FAMILIES * 4, strict=False))
    for panel, (name, energy) in zip(panels, energies.items(), strict=False):
        if not isinstance(energy, Field):
            solver = (solvers or {}).get(name)
            energy = measure(
                energy, bounds, data, resolution=resolution, arrows=11 if arrows else 0, plane=plane, solver=solver
            )
        draw_field(panel, energy, arrows=arrows, small=True)
        bare(panel, printable(name), 8.0)
        if families and name in families:
            bar = {"color": colours[families[name]], "linewidth": 2.6, "solid_capstyle": "butt", "clip_on": False}
            panel.plot([0, 1], [1.012, 1.012], transform=panel.transAxes, **bar)
        if captions and name in captions:
            panel.set_xlabel(plotted(captions[name]), fontsize=6.8, color=MUTED, labelpad=2.5)
    for panel in panels[len(energies) :]:
        panel.set_visible(False)
    _legend(drawn, colours)
    if title:
        drawn.suptitle(plotted(title, WIDE), fontsize=14, color=INK, x=0.012, ha="left", fontweight="bold")
    return drawn


def landscapes_through(
    energies: Mapping[str, Score],
    points: Mapping[str, Tensor],
    *,
    solver: Solver | None = None,
    resolution: int = 120,
    arrows: int = 13,
) -> list[Figure]:
    """Energies of many dimensions on one plane, a landscape for each: the plane through the first three of some points.

    Args:
        energies: by the title of their landscape.
        points: at least three, each of the shape of y, by name; further ones stand where they project to.
        solver, resolution, arrows: see `measure`.

    >>> import torch
    >>> points = dict(zip("abcd", torch.eye(4), strict=True))
    >>> drawn, = landscapes_through({"bowl": lambda y: y.square().sum(dim=1)}, points, resolution=10)
    >>> [text.get_text() for text in drawn.axes[0].texts]
    ['a', 'b', 'c', 'd']
    """
    places = torch.stack(list(points.values()))
    plane = plane_through(places, (0, 1, 2))
    flat = plane.project(places)
    half = 1.3 * float(flat.abs().max())
    box, names, drawn = ((-half, half), (-half, half)), dict(zip(points, flat, strict=True)), []
    for title, energy in energies.items():
        field = measure(energy, box, solver=solver, resolution=resolution, arrows=arrows, plane=plane)
        drawn.append(landscape(field, names=names, title=title))
    return drawn


def _legend(drawn: Figure, colours: Mapping[str, str]) -> None:
    ramp = tuple(Patch(color=LAND(level)) for level in (0.08, 0.3, 0.52, 0.74, 0.96))
    border = Line2D([], [], color=ORANGE, linewidth=1.4)
    point = Line2D([], [], color=GOLD, marker="o", markersize=4.5, linestyle="none", mec=INK, mew=0.3)
    entries: list[Any] = [ramp, border, point]
    names = ["energy, low to high", "level set: 95 % of the data lie below", "data"]
    for family, colour in colours.items():
        entries.append(Line2D([], [], color=colour, linewidth=3.2))
        names.append(plotted(family, WIDE))
    inches = sum(0.5 + 0.06 * len(name) for name in names)
    lines = math.ceil(inches / drawn.get_figwidth())
    drawn.legend(
        entries,
        names,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
        loc="outside lower center",
        ncols=math.ceil(len(names) / lines),
        frameon=False,
        fontsize=7.5,
        labelcolor=INK,
        handlelength=1.8,
        columnspacing=1.6,
        handletextpad=0.6,
    )
