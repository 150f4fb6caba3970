"""Lines over steps, each named where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lowland.errors import OptionError, ShapeError
from lowland.plots.style import FAMILIES, figure, ruled
from lowland.words import plotted

_DEEPEST, _ZERO = 1e-8, 1e-12
"""The share of the largest value at which a logarithmic axis ends, and what counts as 0 on another."""
_FEW, _APART, _LONG = 8, 1.4, 1e5
"""Points of a logarithmic axis get a tick each if they are this few, this many times apart and below this value."""

Line: TypeAlias = Sequence[float] | tuple[Sequence[float], Sequence[float]]


def curves(
    lines: Mapping[str, Line],
    *,
    title: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    log: str = "",
) -> Figure:
    """Lines in one diagram, each with its name at its right end, in its colour.

    Args:
        lines: by name, the values, or a tuple (steps, values). Non-finite values leave a gap.
        title, xlabel, ylabel: texts.
        log: the axes that are logarithmic: "", "x", "y" or "xy". Eight decades below the largest value the vertical one
            ends: what lies deeper is rounding.

    Raises:
        OptionError: without lines, or for an unknown `log`.
        ShapeError: where steps and values differ in length.

    >>> curves({"loss": [3.0, 2.0, 1.0]}).axes[0].texts[0].get_text()
    'loss'
    """
    if not lines or log not in ("", "x", "y", "xy"):
        raise OptionError(f"Curves need at least one line, and log must be '', 'x', 'y' or 'xy', not {log!r}.")
    drawn = figure(6.4, 3.8)
    ax = drawn.add_subplot()
    ruled(ax, title, xlabel, ylabel)
    ax.ticklabel_format(useMathText=True)
    ends: list[tuple[float, float, str, str]] = []
    counted = True
    for index, (name, line) in enumerate(lines.items()):
        steps, values = line if isinstance(line, tuple) else (range(len(line)), line)
        x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
        if x.shape != y.shape or x.ndim != 1:
            raise ShapeError(f"The line {name!r} has {x.shape} steps but {y.shape} values.")
        y = np.where(np.isfinite(y), y, np.nan)
        counted = counted and bool((x == np.round(x)).all())
        colour = FAMILIES[index % len(FAMILIES)]
        ax.plot(x, y, color=colour, linewidth=1.8, solid_capstyle="round", label=plotted(name))
        if np.isfinite(y).any():
            last = np.flatnonzero(np.isfinite(y))[-1]
            ends.append((float(x[last]), float(y[last]), name, colour))
    if "x" in log:
        ax.set_xscale("log")
        _tick_points(ax)
    elif counted:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if "y" in log:
        ax.set_yscale("log")
    _above_rounding(ax)
    _name_ends(ax, ends)
    return drawn


def _tick_points(ax: Axes) -> None:
    """On a logarithmic axis with few points far apart, a tick at each of them: decades alone would say little."""
    points = np.unique(np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in ax.lines]))
    if 1 < len(points) <= _FEW and points[0] > 0 and points[-1] < _LONG and (points[1:] / points[:-1]).min() > _APART:
        ax.set_xticks(points, [f"{point:g}" for point in points])
        ax.minorticks_off()


def _above_rounding(ax: Axes) -> None:
    """No axis that magnifies rounding."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    sizes = np.abs(values[np.isfinite(values)])
    largest = sizes.max(initial=0.0)
    if ax.get_yscale() == "log":
        if 0 < sizes[sizes > 0].min(initial=np.inf) < _DEEPEST * largest:
            ax.set_ylim(bottom=_DEEPEST * largest)
    elif 0 < largest < _ZERO:
        ax.set_ylim(-1, 1)


def _name_ends(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Names at the ends of the lines, pushed apart to a line's height where the ends lie close together."""
    if not ends:
        return
    low, high = ax.transScale.transform([(1, v) if ax.get_yscale() == "log" else (0, v) for v in ax.get_ylim()])[:, 1]
    height = [min(max((ax.transScale.transform((1, y))[1] - low) / (high - low), 0.0), 1.0) for _, y, _, _ in ends]
    order, last = np.argsort(height), -1.0
    for index in order:
        place = max(height[index], last + 0.06)
        last = place
        _, _, name, colour = ends[index]
        ax.text(1.015, place, plotted(name), transform=ax.transAxes, va="center", fontsize=8.5, color=colour)
