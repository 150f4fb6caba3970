"""Costs of a label after another: the learned part of a chain."""

from __future__ import annotations

from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import FAINT, MUTED, SIGNED, figure
from lowland.words import plotted


def neighbour_costs(costs: Tensor, labels: str) -> Figure:
    """Costs of each label (columns) after each other (rows): blue for what is favoured, orange for what is avoided.

    Args:
        costs: (K, K), drawn less their mean, at a scale that is the same on both sides of it.
        labels: K characters.

    Raises:
        ShapeError: unless costs are K × K.

    >>> import torch
    >>> [text.get_text() for text in neighbour_costs(torch.eye(2), "ab").axes[0].get_xticklabels()]
    ['a', 'b']
    """
    if tuple(costs.shape) != (len(labels), len(labels)):
        raise ShapeError(f"Costs of {len(labels)} labels must be {len(labels)} × {len(labels)}, not "
                         f"{tuple(costs.shape)}.")  # fmt: skip
    centred = (costs - costs.mean()).detach().cpu()
    most = max(1e-9, float(centred.abs().max()))
    drawn = figure(4.8, 4.3)
    ax = drawn.add_subplot()
    image = ax.imshow(centred.numpy(), cmap=SIGNED, vmin=-most, vmax=most)
    names = [plotted(label) for label in labels]
    ax.set_xticks(range(len(names)), names, fontsize=7, color=MUTED)
    ax.set_yticks(range(len(names)), names, fontsize=7, color=MUTED)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set(color=FAINT)
    ax.set_xlabel("then this letter", fontsize=9, color=MUTED)
    ax.set_ylabel("after this letter", fontsize=9, color=MUTED)
    bar = drawn.colorbar(image, ax=ax, shrink=0.7)
    bar.ax.tick_params(labelsize=7, colors=MUTED)
    bar.outline.set_visible(False)
    return drawn
