"""Verification curves: true-accept rate over false-accept rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lowland.evaluation.verification import Verification
from lowland.plots.style import FAMILIES, INK, MUTED, figure, ruled
from lowland.words import plotted


def verification_curves(curves: Mapping[str, Sequence[Verification]]) -> Figure:
    """One line per method, the mean over its folds, with a dot at its mean equal-error rate.

    >>> one = Verification(0.25, accepted=[0.0, 0.25, 1.0], recognised=[0.0, 0.75, 1.0])
    >>> verification_curves({"ours": [one]}).axes[0].get_legend().get_texts()[0].get_text()
    'ours: 25.0 %'
    """
    drawn, grid = figure(6.4, 4.2), np.linspace(0, 1, 201)
    ax = drawn.add_subplot()
    ruled(ax, None, "wrong pairs accepted", "right pairs recognised")
    ax.plot([0, 1], [1, 0], color=MUTED, linewidth=0.8, linestyle=":")
    for number, (name, each) in enumerate(curves.items()):
        line = np.mean([np.interp(grid, one.accepted, one.recognised) for one in each], axis=0)
        rate, colour = float(np.mean([one.equal_error for one in each])), FAMILIES[number % len(FAMILIES)]
        ax.plot(grid, line, color=colour, linewidth=1.8, label=f"{plotted(name)}: {100 * rate:.1f} %")
        ax.plot(rate, 1 - rate, "o", color=colour, markersize=5)
    ax.set(xlim=(0, 0.6), ylim=(0.4, 1.005))
    ax.legend(framealpha=1, edgecolor="none", fontsize=8.5, labelcolor=INK, loc="lower right")
    return drawn
