"""Confusion matrices: answers by true class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import FAINT, INK, MUTED, PAPER, SCORE, figure
from lowland.words import plotted


def confusion(counts: Tensor, classes: Sequence[str], *, right: str = "right", answer: str = "inferred") -> Figure:
    """Counts by true class (rows) and answer (columns). Only errors are coloured, on a logarithmic scale.

    Args:
        counts: (K, K).
        classes: K names.
        right, answer: labels of the axes.

    Raises:
        ShapeError: unless counts are K × K.

    >>> import torch
    >>> [text.get_text() for text in confusion(torch.tensor([[9, 1], [0, 8]]), ["cat", "dog"]).axes[0].texts]
    ['9', '1', '8']
    """
    if counts.shape != (len(classes), len(classes)):
        raise ShapeError(f"Counts of {len(classes)} classes must be {len(classes)} × {len(classes)}, "
                         f"not {tuple(counts.shape)}.")  # fmt: skip
    drawn = figure(4.6, 4.3)
    ax = drawn.add_subplot()
    wrong = counts.float().clone().fill_diagonal_(0)
    shown = np.ma.masked_equal(wrong.numpy(), 0)
    ax.imshow(shown, cmap=SCORE, norm=LogNorm(0.5, max(2.0, float(wrong.max()))))
    for (row, column), count in np.ndenumerate(counts.numpy()):
        if count:
            dark = count > 0.5 * float(wrong.max())
            ink = MUTED if row == column else PAPER if dark else INK
            ax.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=8, color=ink)
    names = [plotted(name) for name in classes]
    ax.set_xticks(range(len(names)), names, fontsize=8, color=MUTED)
    ax.set_yticks(range(len(names)), names, fontsize=8, color=MUTED)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set(color=FAINT)
    ax.set_xlabel(plotted(answer), fontsize=9, color=MUTED)
    ax.set_ylabel(plotted(right), fontsize=9, color=MUTED)
    return drawn
