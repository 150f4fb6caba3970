"""Colours and fonts of all plots, as explicit values: matplotlib's global settings are neither read nor changed.

Blue for energy, and orange for data and anything that moves, a pair that people with common colour blindness can
distinguish. Lightness increases evenly with the energy, so plots also work in grey.

Names that come from users go through `lowland.words.plotted`, and so do all titles and labels.
"""

from __future__ import annotations

import math
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from lowland.words import plotted

WIDE = 72
"""Maximum number of characters in a title or an axis label."""

INK, MUTED, FAINT, PAPER = "#14213d", "#5d6b82", "#d8dde6", "#ffffff"
ORANGE, GOLD, BLUE = "#f26b1d", "#ffd166", "#1f6fb2"

FAMILIES = ("#1f6fb2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a5cc4", "#6b7280")
"""Eight colours for categories, after Okabe & Ito's colour-blind-safe palette (2008)."""

LAND = LinearSegmentedColormap.from_list(
    "land", ["#081d3f", "#12406f", "#22699a", "#4a94b5", "#86bcc6", "#bedcd6", "#e6efe4", "#fbfaf3"]
)
LAND = LAND.with_extremes(bad="#c9b8c4")
SIGNED = LinearSegmentedColormap.from_list("signed", ["#12406f", "#5b9cc2", "#f8f8f5", "#f0a05f", "#b5460f"])
SCORE = LinearSegmentedColormap.from_list("score", ["#fdfcf7", "#d7e8e4", "#8fc0cb", "#3f86ae", "#123f70"])


def figure(width: float, height: float, layout: Literal["constrained", "compressed"] = "constrained") -> Figure:
    """An empty white figure, sized in inches, with its own canvas, independent of pyplot."""
    made = Figure(figsize=(width, height), facecolor=PAPER, layout=layout)
    FigureCanvasAgg(made)
    return made


def owner(ax: Axes) -> Figure:
    """The figure that the axes belong to."""
    found = ax.get_figure(root=True)
    assert found is not None
    return found


def bare(ax: Axes, title: str | None = None, size: float = 9.0) -> None:
    """Style axes without ticks and with a hairline frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(color=FAINT, linewidth=0.6)
    if title:
        ax.set_title(plotted(title, WIDE), fontsize=size, color=INK, pad=0.45 * size)


def ruled(ax: Axes, title: str | None = None, xlabel: str | None = None, ylabel: str | None = None) -> None:
    """Style axes with light horizontal grid lines and no box."""
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set(color=MUTED, linewidth=0.8)
    ax.tick_params(axis="both", colors=MUTED, labelsize=8, length=0, pad=5)
    ax.tick_params(axis="x", length=3, color=MUTED)
    ax.tick_params(axis="y", which="minor", length=0)
    ax.grid(axis="y", color=FAINT, linewidth=0.7)
    ax.set_axisbelow(True)
    if title:
        ax.set_title(plotted(title, WIDE), fontsize=11, color=INK, loc="left", pad=10)
    ax.set_xlabel(plotted(xlabel or "", WIDE), fontsize=9, color=MUTED)
    ax.set_ylabel(plotted(ylabel or "", WIDE), fontsize=9, color=MUTED)


def columns_for(count: int, ratio: float = 1.6) -> int:
    """The number of columns for `count` panels that fills a page of about this aspect ratio (width to height).

    >>> columns_for(36), columns_for(6), columns_for(1)
    (8, 3, 1)
    """
    ideal = math.sqrt(count * ratio)

    def badness(columns: int) -> float:
        rows = math.ceil(count / columns)
        return (rows * columns - count) / count + abs(math.log(columns / ideal))

    return min(range(1, count + 1), key=badness)
