"""The roofline of a machine, with layers below it by how many operations they do for each byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lowland.errors import OptionError
from lowland.plots.style import FAMILIES, INK, MUTED, figure, ruled
from lowland.words import plotted

_GIGA, _LARGEST = 1e9, 220.0


def roofline(
    arithmetic: float,
    bandwidth: float,
    layers: Mapping[str, Sequence[tuple[float, float]]],
    measured: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str | None = None,
) -> Figure:
    """Operations a second against operations a byte, both axes logarithmic.

    The line is the most that the machine can do: bandwidth × intensity, up to the rate of its arithmetic. Circles on it
    are layers, larger where they have more of the network's operations; diamonds are whole networks as measured.
    Source: Williams, Waterman & Patterson (2009).

    Args:
        arithmetic: operations a second.
        bandwidth: bytes a second.
        layers: by network, operations a byte and operations of each layer.
        measured: by network, operations a byte and operations a second of each measurement.
        title: above the picture.

    Raises:
        OptionError: without a network.

    >>> drawn = roofline(1e11, 1e10, {"net": [(2.0, 1e6), (30.0, 1e8)]}, {"net": [(20.0, 5e10)]})
    >>> [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    ['net']
    """
    if not layers:
        raise OptionError("A roofline needs at least one network.")
    drawn = figure(7.6, 4.6)
    ax = drawn.add_subplot()
    ruled(ax, title, "operations for each byte moved", "billion operations a second")
    points = [x for many in (*layers.values(), *measured.values()) for x, _ in many if x > 0]
    ridge = arithmetic / bandwidth
    low, high = min([*points, ridge]) / 2, max([*points, ridge]) * 2
    line = np.geomspace(low, high, 200)
    ax.plot(line, np.minimum(arithmetic, line * bandwidth) / _GIGA, color=INK, linewidth=1.8, zorder=1)
    for number, (name, each) in enumerate(layers.items()):
        colour, total = FAMILIES[number % len(FAMILIES)], sum(count for _, count in each) or 1.0
        shown = [
            (x, min(arithmetic, x * bandwidth) / _GIGA, 6 + _LARGEST * count / total) for x, count in each if x > 0
        ]
        ax.scatter([], [], color=colour, label=plotted(name), s=30)
        if shown:
            x, y, size = zip(*shown, strict=True)
            ax.scatter(x, y, s=size, color=colour, alpha=0.45, linewidths=0, zorder=2)
        for x_, rate in measured.get(name, ()):
            ax.plot(x_, rate / _GIGA, "D", color=colour, markersize=7, markeredgecolor=INK, zorder=4)
    ax.set(xscale="log", yscale="log")
    words = f"{arithmetic / _GIGA:.0f} billion operations and {bandwidth / _GIGA:.1f} GB a second"
    ax.text(0.99, 0.02, plotted(words), transform=ax.transAxes, ha="right", fontsize=8, color=MUTED)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    return drawn
