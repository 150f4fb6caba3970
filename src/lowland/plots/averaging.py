"""Pictures of the stability of averaging: eigenvalues over rates, and regions with their published borders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import OptionError
from lowland.plots.style import INK, MUTED, SIGNED, columns_for, figure, owner
from lowland.words import plotted

_LINEAR = 100
"""The colours are linear for the smallest hundredth of the largest value, and logarithmic above."""


def radius_maps(
    maps: Mapping[str, Tensor], x: Sequence[float], y: Sequence[float], xlabel: str, ylabel: str,
    borders: Mapping[str, Sequence[float]] | None = None,
) -> Figure:  # fmt: skip
    """A panel for each map of largest eigenvalues: blue below 1, where a round is stable, orange above 1.

    Args:
        maps: (len(y), len(x)) by title.
        x, y: coordinates of the columns and rows, evenly spaced.
        xlabel, ylabel: names of the coordinates.
        borders: by title, a published border, y for each x, drawn as a line.

    Raises:
        OptionError: without maps, or for a map of another size.

    >>> import torch
    >>> drawn = radius_maps({"EASGD": torch.tensor([[0.9, 1.1], [0.9, 1.2]])}, [0, 1], [0, 1], "η", "ρ")
    >>> drawn.axes[0].get_title()
    'EASGD'
    """
    wrong = [title for title, one in maps.items() if tuple(one.shape) != (len(y), len(x))]
    if not maps or wrong:
        raise OptionError(f"Maps must have {len(y)} rows and {len(x)} columns, and there must be one: {wrong}.")
    columns = columns_for(len(maps), 1.0)
    rows = -(-len(maps) // columns)
    drawn = figure(3.1 * columns + 0.7, 2.5 * rows)
    axes = drawn.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    above = {title: one.double().numpy() - 1 for title, one in maps.items()}
    most = max(float(np.abs(one).max()) for one in above.values()) or 1.0
    norm = SymLogNorm(most / _LINEAR, vmin=-most, vmax=most)
    shown = None
    for ax, (title, one) in zip(axes, above.items(), strict=False):
        shown = ax.pcolormesh(x, y, one, cmap=SIGNED, norm=norm, shading="nearest", rasterized=True)
        if border := (borders or {}).get(title):
            ax.plot(x, border, color=INK, linewidth=1.4)
        _style(ax, title)
    for ax in axes[len(maps) :]:
        ax.set_visible(False)
    drawn.supxlabel(plotted(xlabel), fontsize=9, color=MUTED)
    drawn.supylabel(plotted(ylabel), fontsize=9, color=MUTED)
    assert shown is not None
    bar = owner(axes[0]).colorbar(shown, ax=list(axes), shrink=0.8)
    bar.set_label("largest absolute eigenvalue − 1", fontsize=8, color=MUTED)
    ten = 10.0 ** math.floor(math.log10(most))
    ticks = [-ten, -ten / 10, 0.0, ten / 10, ten]
    bar.set_ticks(ticks, labels=[f"{tick:g}".replace("-", "−") for tick in ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=7, colors=MUTED)
    return drawn


def _style(ax: Axes, title: str) -> None:
    ax.set_title(plotted(title), fontsize=9, color=INK)
    ax.tick_params(labelsize=7, colors=MUTED, length=2)
    ax.set_ylim(bottom=0)
