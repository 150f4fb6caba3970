"""Histograms: one with a marked value, such as a threshold, or two sets of numbers overlaid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import OptionError
from lowland.plots.style import INK, MUTED, ORANGE, figure, owner, ruled
from lowland.words import plotted

_COLOURS = (MUTED, ORANGE)
_TINIEST = 1e-12


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
    """A histogram of forty bars, with a vertical line at `mark`.

    Args:
        values: (N,).
        mark: position of the line.
        label: text beside the line.
        limits: ends of the first and the last bar; by default the smallest and the largest value.
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


def distributions(
    values: Mapping[str, Tensor], *, title: str | None = None, xlabel: str | None = None, ylabel: str | None = None,
    log: bool = False,
) -> Figure:  # fmt: skip
    """Histograms of non-negative numbers in the same bins; the last bin holds the largest half per cent.

    Args:
        values: by name, (N,) each, one or two sets.
        title, xlabel, ylabel: texts.
        log: whether the value axis is logarithmic, starting no lower than 10⁻¹²; it then shows all values.

    Raises:
        OptionError: for no set, or more than two.

    >>> drawn = distributions({"near": torch.rand(100), "far": 1 + torch.rand(100)}, xlabel="energy")
    >>> [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    ['near', 'far']
    """
    if not 1 <= len(values) <= len(_COLOURS):
        raise OptionError(f"A histogram shows one or two sets of numbers, not {len(values)}.")
    drawn = figure(4.2, 2.6)
    ax = drawn.add_subplot()
    ruled(ax, title, xlabel, ylabel)
    together = torch.cat([part.double().flatten() for part in values.values()])
    if log:
        powers = together.clamp_min(_TINIEST).log10()
        edges = np.logspace(float(powers.min()), float(powers.max()) + 1e-6, 50)
        ax.set_xscale("log")
    else:
        edges = np.linspace(0, float(torch.quantile(together, 0.995)) or 1.0, 50)
    for (name, part), colour in zip(values.items(), _COLOURS, strict=False):
        ax.hist(
            part.double().clamp(edges[0] if log else None, edges[-1]).numpy(),
            bins=edges.tolist(),
            color=colour,
            alpha=0.7,
            label=plotted(name),
        )
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return drawn


def pair_energies(near: Tensor, far: Tensor) -> Figure:
    """Energies of two views of one image, and of views of two images, as `lowland.evaluation.pair_gap` gives them.

    Args:
        near, far: (N,), of pairs that belong together and of pairs that do not.

    >>> drawn = pair_energies(torch.rand(100), 1 + torch.rand(100))
    >>> [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    ['views of two images', 'of one image']
    """
    return distributions({"views of two images": far, "of one image": near}, xlabel="F(x, y)", ylabel="pairs")
