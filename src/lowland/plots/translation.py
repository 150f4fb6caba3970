"""What each piece of a translation looked at while it was written."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import INK, SCORE, WIDE, bare, figure
from lowland.words import plotted

_CELL, _ROOM = 0.19, 1.2


def attention_map(attention: Tensor, source: Sequence[str], target: Sequence[str], title: str = "") -> Figure:
    """Pieces of the sentence across, pieces of its translation downwards, the darker the more one looked at the other.

    Args:
        attention: (T, S) from 0 to 1.
        source, target: S and T pieces.
        title: above.

    Raises:
        ShapeError: unless the attention is that of these pieces.

    >>> import torch
    >>> drawn = attention_map(torch.eye(2), ["red", " car"], ["rotes", " Auto"])
    >>> [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    ['rotes', ' Auto']
    """
    if attention.shape != (len(target), len(source)) or not attention.numel():
        raise ShapeError(
            f"Attention of {len(target)} pieces to {len(source)} has that shape, but it is {tuple(attention.shape)}."
        )
    drawn = figure(_ROOM + _CELL * len(source), _ROOM + _CELL * len(target))
    ax = drawn.add_subplot()
    ax.imshow(attention.numpy(), cmap=SCORE, vmin=0, vmax=1, aspect="equal")
    bare(ax)
    names = [[plotted(piece) for piece in pieces] for pieces in (source, target)]
    ax.set_xticks(range(len(source)), names[0], rotation=90, fontsize=7, color=INK)
    ax.set_yticks(range(len(target)), names[1], fontsize=7, color=INK)
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    if title:
        drawn.suptitle(plotted(title, WIDE), fontsize=9, color=INK)
    return drawn
