"""Horizontal bars, one row per method: values with intervals, shares of a whole, and pairs of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lowland.errors import OptionError, ShapeError
from lowland.plots.style import FAINT, FAMILIES, INK, MUTED, figure, owner, ruled
from lowland.words import plotted

_ROW, _HEIGHT = 0.42, 0.62


def interval_bars(
    rows: Mapping[str, tuple[float, float, float]],
    *,
    xlabel: str = "",
    colours: Mapping[str, str] | None = None,
    marks: Mapping[str, float | None] | None = None,
    most: float | None = None,
) -> Figure:
    """One bar per row, with its interval as a line and its value as a number.

    Args:
        rows: by name, the value and the ends of its interval.
        xlabel: label of the axis.
        colours: colours of some rows; the others are grey.
        marks: other values, such as published ones, drawn as open circles.
        most: upper end of the axis; by default the largest value.

    Raises:
        OptionError: without rows.

    >>> drawn = interval_bars({"ours": (93.0, 90.0, 95.0), "nothing": (10.0, 8.0, 13.0)}, most=100)
    >>> [text.get_text() for text in drawn.axes[0].texts]
    ['93.0', '10.0']
    """
    ax = _rows(rows)
    end = max(max(row) for row in rows.values()) if most is None else most
    for place, (name, (value, low, high)) in enumerate(rows.items()):
        ax.barh(-place, value, height=_HEIGHT, color=(colours or {}).get(name, MUTED), alpha=0.9)
        ax.plot([low, high], [-place, -place], color=INK, linewidth=1.2)
        mark = (marks or {}).get(name)
        if mark is not None:
            ax.plot(mark, -place, "o", markersize=6, markerfacecolor="white", markeredgecolor=INK, zorder=3)
        ax.text(1.015 * end, -place, f"{value:.1f}", va="center", fontsize=9, color=INK)
    ax.set_xlim(0, 1.1 * end or 1)
    _finish(ax, xlabel)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    return owner(ax)


def stacked_shares(
    rows: Mapping[str, Mapping[str, float]], *, xlabel: str = "", colours: Mapping[str, str] | None = None
) -> Figure:
    """One bar per row, divided into its shares of the whole, in percent.

    Args:
        rows: by name, a count of each part; parts appear in the order of the first row that has them.
        xlabel: label of the axis.
        colours: colours of the parts.

    Raises:
        OptionError: without rows.

    >>> drawn = stacked_shares({"ours": {"arrives": 9, "collides": 1}, "nothing": {"arrives": 1, "collides": 9}})
    >>> [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    ['arrives', 'collides']
    """
    ax = _rows(rows)
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    left = dict.fromkeys(rows, 0.0)
    for number, part in enumerate(parts):
        colour = (colours or {}).get(part, FAMILIES[number % len(FAMILIES)])
        for place, (name, row) in enumerate(rows.items()):
            share = 100 * row.get(part, 0) / (sum(row.values()) or 1)
            text = plotted(part) if place == 0 else None
            ax.barh(-place, share, left=left[name], height=_HEIGHT, color=colour, label=text)
            left[name] += share
    ax.set_xlim(0, 100)
    _finish(ax, xlabel)
    ax.legend(ncols=len(parts), fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0))
    return owner(ax)


def value_pairs(
    panels: Mapping[str, Mapping[str, tuple[float, float]]], *, colours: Mapping[str, str] | None = None
) -> Figure:
    """For each row a line from a first value (open circle) to a second one (filled circle); panels side by side.

    Args:
        panels: rows by axis label; each row is a pair of values by name. All panels have the same rows.
        colours: colours of some rows; the others are grey.

    Raises:
        OptionError: without panels or rows.
        ShapeError: if panels have different rows.

    >>> len(value_pairs({"cost": {"ours": (0.1, 0.2)}, "uncertainty": {"ours": (1.0, 1.5)}}).axes)
    2
    """
    names = list(next(iter(panels.values()), ()))
    if not names:
        raise OptionError("Bars need at least one row.")
    if any(list(rows) != names for rows in panels.values()):
        raise ShapeError("All panels need the same rows.")
    drawn = figure(4.7 * len(panels), 0.36 * len(names) + 1.1)
    axes = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (label, rows) in zip(axes, panels.items(), strict=True):
        for place, (name, (first, second)) in enumerate(rows.items()):
            colour = (colours or {}).get(name, MUTED)
            ax.plot([first, second], [-place, -place], color=colour, linewidth=2, alpha=0.5)
            ax.plot(first, -place, "o", markersize=6, markerfacecolor="white", markeredgecolor=colour)
            ax.plot(second, -place, "o", markersize=6, color=colour)
        _finish(ax, label)
    _name_rows(axes[0], names)
    return drawn


def _rows(rows: Mapping[str, object]) -> Axes:
    """Axes of a new figure with the row names."""
    if not rows:
        raise OptionError("Bars need at least one row.")
    ax = figure(7.6, _ROW * len(rows) + 0.9).add_subplot()
    _name_rows(ax, list(rows))
    return ax


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks([-place for place in range(len(names))], [plotted(name) for name in names], fontsize=9, color=INK)


def _finish(ax: Axes, xlabel: str) -> None:
    ruled(ax, None, xlabel)
    ax.tick_params(axis="y", labelsize=9, labelcolor=INK)
    ax.grid(axis="y", visible=False)
    ax.set_axisbelow(True)
