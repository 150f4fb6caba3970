"""Points on meaningful axes: one per method and seed, or one per unit."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.plots.style import FAINT, INK, MUTED, ORANGE, figure, ruled
from lowland.words import plotted


def by_seed(
    values: Mapping[str, Sequence[float]], ours: str = "", title: str | None = None, ylabel: str | None = None
) -> Figure:
    """One point per method and paired seed, with thin lines joining seeds and a bar at each method's mean.

    Args:
        values: one number per seed, by method; the same number of seeds for all.
        ours: the method to draw in colour.
        title, ylabel: texts.

    Raises:
        OptionError: without methods.
        ShapeError: if methods differ in the number of seeds.

    >>> len(by_seed({"ours": [1.0, 2.0], "theirs": [2.0, 3.0]}, "ours").axes[0].collections)
    2
    """
    counts = {len(each) for each in values.values()}
    if not counts:
        raise OptionError("There must be at least one method to draw.")
    if len(counts) > 1 or not min(counts):
        raise ShapeError(f"All methods need the same number of seeds, at least one, but they have {sorted(counts)}.")
    drawn = figure(6.4, 3.8)
    ax = drawn.add_subplot()
    ruled(ax, title, None, ylabel)
    places = range(len(values))
    for seed in zip(*values.values(), strict=True):
        ax.plot(places, seed, color=FAINT, linewidth=1.2, zorder=1)
    for place, (name, each) in enumerate(values.items()):
        ax.scatter([place] * len(each), each, s=22, color=ORANGE if name == ours else MUTED, zorder=2)
        ax.plot([place - 0.15, place + 0.15], [statistics.fmean(each)] * 2, color=INK, linewidth=2, zorder=3)
    ax.set_xticks(places, [plotted(name) for name in values])
    return drawn


def cloud(
    x: Tensor, y: Tensor, title: str | None = None, xlabel: str | None = None, ylabel: str | None = None
) -> Figure:
    """One point per unit, y (N,) over x (N,).

    >>> import torch
    >>> len(cloud(torch.rand(9), torch.rand(9), xlabel="use").axes[0].collections[0].get_offsets())
    9
    """
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(f"A cloud needs x and y of one shape (N,), but they are {tuple(x.shape)}, {tuple(y.shape)}.")
    drawn = figure(6.4, 3.8)
    ax = drawn.add_subplot()
    ruled(ax, title, xlabel, ylabel)
    ax.scatter(x.detach().cpu().numpy(), y.detach().cpu().numpy(), s=14, color=ORANGE, alpha=0.7, linewidths=0)
    return drawn
