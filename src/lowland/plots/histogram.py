"""Histograms with one value marked: a statistic among those of chance, a threshold in a distribution."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lowland.plots.style import MUTED, ORANGE, figure, owner, ruled
from lowland.words import plotted


def histogram(
    values: Tensor,
    mark: float | None = None,
    label: str = "",
    *,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Forty bars of how often values occur, with an upright line at `mark`.

    Args:
        values: (N,).
        mark: where the line stands.
        label: beside the line.
        limits: ends of the first and the last bar; by default the least and the greatest value.
        title, xlabel, ylabel: texts.
        ax: axes to draw into; by default those of a new figure.

    >>> import torch
    >>> len(histogram(torch.rand(100), 0.5, "half").axes[0].patches)
    40
    """
    if ax is None:
        ax = figure(6.4, 3.8).add_subplot()
    ruled(ax, title, xlabel, ylabel)
    ax.hist(values.detach().cpu().numpy(), bins=40, range=limits, color=MUTED, alpha=0.6)
    if mark is not None:
        ax.axvline(mark, color=ORANGE, linewidth=2.2)
        ax.annotate(
            plotted(label), (mark, 0.92), xycoords=("data", "axes fraction"), xytext=(-6, 0), ha="right",
            textcoords="offset points", color=ORANGE, fontsize=9,
        )  # fmt: skip
    return owner(ax)
