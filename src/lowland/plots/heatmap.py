"""The table of energy gaps, in colour."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lowland.errors import OptionError
from lowland.plots.style import FAINT, INK, MUTED, ORANGE, PAPER, SCORE, WIDE, figure
from lowland.words import plotted


def auroc_heatmap(
    table: Mapping[str, Mapping[str, float | Sequence[float]]],
    *,
    baselines: Collection[str] = ("norm", "constant"),
    labels: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    r"""Methods in rows, negatives in columns; darker is better, with a number in each cell; orange for chance or below.

    Args:
        table: AUROC by method and then by kind of negatives: a number, or one per seed, shown as mean and standard
            deviation. Missing kinds and NaN are left blank.
        baselines: rows separated by a rule, at the bottom.
        labels: text for a column; by default its name, one word per line.
        title: above the table.

    >>> drawn = auroc_heatmap({"PCA": {"pixel_noise": 0.99}, "norm": {"pixel_noise": [0.5, 0.6]}})
    >>> ", ".join(text.get_text() for text in drawn.axes[0].texts[:4])
    'PCA, .990, norm, .550 ±.07'
    """
    if not table:
        raise OptionError("The table of AUROCs has no rows.")
    kinds = list(dict.fromkeys(kind for row in table.values() for kind in row))
    methods = [name for name in table if name not in baselines]
    apart = [name for name in table if name in baselines]
    gap = 0.35 if methods and apart else 0.0
    height = len(table) + gap
    width = 0.35 + 0.068 * max(len(plotted(name)) for name in table)
    drawn = figure(width + len(kinds), 0.235 * (height + 1.6) + (0.35 if title else 0))
    ax = drawn.add_subplot()
    ax.set(xlim=(-width, len(kinds)), ylim=(height, -1.6))
    ax.axis("off")
    for index, name in enumerate([*methods, *apart]):
        y = index + (gap if name in apart else 0)
        quiet = name in apart
        ax.text(
            -0.1,
            y + 0.5,
            plotted(name),
            ha="right",
            va="center",
            fontsize=8.5,
            color=MUTED if quiet else INK,
            style="italic" if quiet else "normal",
        )
        for column, kind in enumerate(kinds):
            mean, deviation = _mean(table[name].get(kind, math.nan))
            _cell(ax, column, y, mean, deviation)
    for column, kind in enumerate(kinds):
        text = (labels or {}).get(kind, kind.replace("_", "\n"))
        text = "\n".join(plotted(line) for line in text.split("\n"))
        ax.text(column + 0.5, -0.75, text, ha="center", va="center", fontsize=8, color=INK, linespacing=1.1)
    if gap:
        ax.plot([-width, len(kinds)], [len(methods) + gap / 2] * 2, color=FAINT, linewidth=0.8)
    if title:
        drawn.suptitle(plotted(title, WIDE), fontsize=12, color=INK, x=0.012, ha="left", fontweight="bold")
    return drawn


def _mean(value: float | Sequence[float]) -> tuple[float, float | None]:
    if isinstance(value, Sequence):
        numbers = np.asarray(value, dtype=float)
        return float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return float(value), None


def _cell(ax: Axes, column: int, y: float, mean: float, deviation: float | None) -> None:
    if math.isnan(mean):
        ax.add_patch(Rectangle((column + 0.02, y + 0.04), 0.96, 0.92, facecolor="#f4f5f7", linewidth=0))
        return
    # Most values lie between 0.9 and 1; squaring spreads them.
    shade = Normalize(0.5, 1.0, clip=True)(mean) ** 2
    below = mean <= 0.55
    face = "#fbe3d3" if below else SCORE(shade)
    ax.add_patch(Rectangle((column + 0.02, y + 0.04), 0.96, 0.92, facecolor=face, linewidth=0))
    ink = ORANGE if below else PAPER if shade > 0.68 else INK
    number = f"{mean:.3f}".removeprefix("0") if mean < 1 else "1.00"
    spread = "" if deviation is None else f" ±{f'{deviation:.2f}'.removeprefix('0')}"
    ax.text(column + 0.5, y + 0.52, number + spread, ha="center", va="center", fontsize=8, color=ink)
