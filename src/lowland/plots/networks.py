"""Fully connected networks drawn as units and weights, with the paths that carry a signal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import BLUE, FAINT, INK, MUTED, ORANGE, PAPER, bare, figure

_THICKEST, _SHIFT = 3.2, 0.08


def active_paths(
    weights: Sequence[Tensor], switches: Sequence[Sequence[Tensor]], titles: Sequence[str], columns: int = 3
) -> Figure:
    """One network for several inputs: weights on active paths in colour, all others pale.

    Blue weights are positive and orange ones negative, and thicker where they are larger. Units that are switched off
    are empty circles. Biases are not drawn.

    Args:
        weights: of each layer, (V, U).
        switches: for each input, which units of each hidden layer are active, (U,) bool.
        titles: of the panels, one for each input.
        columns: maximum number of panels in a row.

    Raises:
        ShapeError: if a hidden layer has no switches, or another number of them than units.

    >>> import torch
    >>> weights = [torch.ones(3, 2), torch.ones(1, 3)]
    >>> drawn = active_paths(weights, [[torch.tensor([True, False, True])]], ["one input"])
    >>> len(drawn.axes)
    1
    """
    widths = [weights[0].shape[1], *(len(one) for one in weights)]
    for given in switches:
        if [len(one) for one in given] != widths[1:-1]:
            raise ShapeError(
                f"The hidden layers have {widths[1:-1]} units, but there are switches for {[len(g) for g in given]}."
            )
    columns = min(columns, max(1, len(switches)))
    rows = -(-len(switches) // columns)
    drawn = figure(3.0 * columns, 2.5 * rows)
    for number, (given, title) in enumerate(zip(switches, titles, strict=True)):
        ax = drawn.add_subplot(rows, columns, number + 1)
        bare(ax, title)
        on = [np.ones(widths[0], bool), *(one.cpu().numpy().astype(bool) for one in given), np.ones(widths[-1], bool)]
        _draw(ax, [one.detach().cpu().numpy() for one in weights], on)
    return drawn


def _draw(ax: Axes, weights: Sequence[np.ndarray], on: Sequence[np.ndarray]) -> None:
    heights = [np.linspace(1, 0, len(units) + 2)[1:-1] for units in on]
    largest = max(float(np.abs(one).max()) for one in weights) or 1.0
    for layer, weight in enumerate(weights):
        for carries in (False, True):
            lines, colours, sizes = [], [], []
            for (end, start), value in np.ndenumerate(weight):
                if bool(on[layer][start] and on[layer + 1][end]) == carries:
                    lines.append([(layer, heights[layer][start]), (layer + 1, heights[layer + 1][end])])
                    colours.append(FAINT if not carries else BLUE if value > 0 else ORANGE)
                    sizes.append(0.6 + _THICKEST * abs(value) / largest if carries else 0.6)
            ax.add_collection(LineCollection(lines, colors=colours, linewidths=sizes, zorder=1 + carries))
    for layer, units in enumerate(on):
        for height, active in zip(heights[layer], units, strict=True):
            face, edge = (INK, INK) if active else (PAPER, MUTED)
            ax.plot(layer, height, "o", markersize=8, markerfacecolor=face, markeredgecolor=edge, zorder=4)
    ax.set(xlim=(-_SHIFT - 0.1, len(weights) + _SHIFT + 0.1), ylim=(0, 1))
