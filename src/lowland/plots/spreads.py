"""How values spread, by group: histograms on one axis, and the deviation with its interval over the size of a group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import OptionError
from lowland.plots.style import BLUE, FAMILIES, INK, figure, ruled
from lowland.words import plotted

_BINS = 80


def group_histograms(
    values: Mapping[str, Tensor], *, title: str | None = None, xlabel: str | None = None, ylabel: str | None = None
) -> Figure:
    """Histograms of up to eight groups in the same bins, over each other.

    Args:
        values: by name, (N,) each.
        title, xlabel, ylabel: texts.

    Raises:
        OptionError: for no group, or more than eight.

    >>> import torch
    >>> drawn = group_histograms({"25": torch.rand(50), "100": torch.rand(50)}, xlabel="test loss")
    >>> [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    ['25', '100']
    """
    if not 1 <= len(values) <= len(FAMILIES):
        raise OptionError(f"One picture shows from one to {len(FAMILIES)} groups, not {len(values)}.")
    drawn = figure(7.2, 3.4)
    ax = drawn.add_subplot()
    ruled(ax, title, xlabel, ylabel)
    together = np.concatenate([one.double().cpu().numpy() for one in values.values()])
    edges = np.linspace(together.min(), together.max() or 1.0, _BINS + 1)
    for (name, one), colour in zip(values.items(), FAMILIES, strict=False):
        ax.hist(one.double().cpu().numpy(), bins=edges.tolist(), color=colour, alpha=0.65, label=plotted(name))
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return drawn


def spread_by_size(
    spreads: Mapping[float, tuple[float, float, float]], *, title: str | None = None, xlabel: str = "", ylabel: str = ""
) -> Figure:
    """A deviation and its interval at each size, on logarithmic axes.

    Args:
        spreads: by size, the value and the ends of its interval, all above 0.
        title, xlabel, ylabel: texts.

    Raises:
        OptionError: without values, or for one that is not above 0.

    >>> drawn = spread_by_size({25: (0.3, 0.2, 0.4), 100: (0.1, 0.08, 0.12)})
    >>> drawn.axes[0].get_xscale()
    'log'
    """
    if not spreads or min(min(one) for one in spreads.values()) <= 0:
        raise OptionError("Spreads on a logarithmic axis need at least one value, and all of them above 0.")
    drawn = figure(5.2, 3.4)
    ax = drawn.add_subplot()
    ruled(ax, title, xlabel, ylabel)
    sizes = list(spreads)
    value, low, high = np.array(list(spreads.values())).T
    ax.errorbar(sizes, value, yerr=[value - low, high - value], color=BLUE, marker="o", capsize=3, linewidth=1.6)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.minorticks_off()
    ticks = [t for power in range(-8, 4) for t in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)]
    shown = [tick for tick in ticks if low.min() / 1.5 <= tick <= 1.5 * high.max()]
    ax.set_yticks(shown, [f"{tick:g}" for tick in shown])
    return drawn
