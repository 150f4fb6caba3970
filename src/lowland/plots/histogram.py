"""Distributions of a few sets of numbers, one over the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import OptionError
from lowland.plots.style import INK, MUTED, ORANGE, figure, ruled
from lowland.words import plotted

_COLOURS = (MUTED, ORANGE)


def histogram(
    values: Mapping[str, Tensor], *, title: str | None = None, xlabel: str | None = None, ylabel: str | None = None
) -> Figure:
    """Histograms of numbers from 0 up, in the same bins; the largest half per cent of all is in the last bin.

    Args:
        values: by name, (N,) each, one or two sets.
        title, xlabel, ylabel: texts.

    Raises:
        OptionError: for no set, or more than two.

    >>> drawn = histogram({"near": torch.rand(100), "far": 1 + torch.rand(100)}, xlabel="energy")
    >>> [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    ['near', 'far']
    """
    if not 1 <= len(values) <= len(_COLOURS):
        raise OptionError(f"A histogram shows one or two sets of numbers, not {len(values)}.")
    drawn = figure(4.2, 2.6)
    ax = drawn.add_subplot()
    ruled(ax, title, xlabel, ylabel)
    top = float(torch.quantile(torch.cat([part.double().flatten() for part in values.values()]), 0.995)) or 1.0
    edges = np.linspace(0, top, 50)
    for (name, part), colour in zip(values.items(), _COLOURS, strict=False):
        ax.hist(part.clamp_max(edges[-1]).numpy(), bins=edges.tolist(), color=colour, alpha=0.7, label=plotted(name))
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return drawn
