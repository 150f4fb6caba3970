"""Lines over steps, each labelled at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.plots.style import FAMILIES, figure, ruled
from lowland.words import plotted

_DEEPEST, _ZERO = 1e-8, 1e-12
"""Lower end of a logarithmic axis relative to the largest value, and what counts as 0 on a linear one."""
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
    plain: bool = False,
    smooth: int = 1,
) -> Figure:
    """Lines in one plot, each with its name at its right end, in its colour.

    Args:
        lines: by name, the values, or a tuple (steps, values). Non-finite values leave a gap.
        title, xlabel, ylabel: texts.
        log: which axes are logarithmic: "", "x", "y" or "xy". The vertical one ends eight decades below the largest
            value, since smaller values are rounding errors.
        plain: numbers such as 0.5 in place of powers of ten on a logarithmic vertical axis, at 1, 2 and 5 times powers
            of ten. For an axis of one or two decades.
        smooth: each value is drawn as the mean of so many, itself and those before it.

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
        if smooth > 1:
            y = np.array([y[max(0, k + 1 - smooth) : k + 1].mean() for k in range(len(y))])
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
    if plain:
        _plain_ticks(ax)
    _name_ends(ax, ends)
    return drawn


def spectrum_curves(
    spectra: Mapping[str, Tensor], *, title: str | None = None, ylabel: str | None = None, log: str = "xy"
) -> Figure:
    """Singular values over their number, from 1 on, a line for each spectrum.

    Args:
        spectra: by name, (D,), such as `lowland.evaluation.spectrum` gives them.
        title, ylabel, log: see `curves`.

    >>> import torch
    >>> spectrum_curves({"random": torch.tensor([1.0, 0.5])}).axes[0].lines[0].get_xdata().tolist()
    [1.0, 2.0]
    """
    lines: dict[str, Line] = {name: (range(1, 1 + len(one)), one.tolist()) for name, one in spectra.items()}
    return curves(lines, title=title, xlabel="direction", ylabel=ylabel, log=log)


def _tick_points(ax: Axes) -> None:
    """On a logarithmic axis with few points far apart, a tick at each of them: decades alone would say little."""
    points = np.unique(np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in ax.lines]))
    if 1 < len(points) <= _FEW and points[0] > 0 and points[-1] < _LONG and (points[1:] / points[:-1]).min() > _APART:
        ax.set_xticks(points, [f"{point:g}" for point in points])
        ax.minorticks_off()


def _above_rounding(ax: Axes) -> None:
    """Limit the axis so that it does not magnify rounding errors."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    sizes = np.abs(values[np.isfinite(values)])
    largest = sizes.max(initial=0.0)
    if ax.get_yscale() == "log":
        if 0 < sizes[sizes > 0].min(initial=np.inf) < _DEEPEST * largest:
            ax.set_ylim(bottom=_DEEPEST * largest)
    elif 0 < largest < _ZERO:
        ax.set_ylim(-1, 1)


def _plain_ticks(ax: Axes) -> None:
    if ax.get_yscale() == "log":
        low, high = ax.get_ylim()
        decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [tick for decade in decades for tick in (decade, 2 * decade, 5 * decade) if low <= tick <= high]
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def _name_ends(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Names at the ends of the lines, spaced by at least a line's height."""
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
