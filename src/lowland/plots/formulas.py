"""Problems in mathematical notation, with the formulas that a model proposed for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from lowland.errors import ShapeError
from lowland.plots.style import BLUE, FAINT, INK, MUTED, ORANGE, figure

_WIDE, _ROW, _HEAD = 7.6, 0.36, 0.62
_LONGEST = 260


class Proposed(NamedTuple):
    """A formula as mathematical text, its −log p, its residual, and whether it was chosen."""

    formula: str
    proposal: float
    residual: float
    chosen: bool


def proposed_formulas(problems: Sequence[tuple[str, Sequence[Proposed]]], right: float = 1e-16) -> Figure:
    """One block for each problem: what was asked, and the candidates with both energies; the chosen one is bold blue.

    Args:
        problems: each as mathematical text, without dollar signs, and its candidates.
        right: residuals below it are solutions; those of the others are orange.

    Raises:
        ShapeError: for no problems.

    >>> drawn = proposed_formulas([("x", [Proposed("x^{2}", 0.1, 0.2, True)])])
    >>> len(drawn.axes)
    1
    """
    if not problems:
        raise ShapeError("There is no problem to draw.")
    heights = [_HEAD + _ROW * len(own) for _, own in problems]
    total = sum(heights) + 0.15
    drawn = figure(_WIDE, total)
    ax = drawn.add_subplot()
    ax.set(xlim=(0, _WIDE), ylim=(total, 0))
    ax.axis("off")
    top = 0.1
    for (asked, own), height in zip(problems, heights, strict=True):
        ax.text(0.15, top + 0.3, _mathematics(asked), fontsize=11, color=INK, va="center")
        for place, name in ((5.85, "−log p"), (7.4, "residual")):
            ax.text(place, top + 0.3, name, fontsize=8, color=MUTED, va="center", ha="right")
        for row, one in enumerate(own):
            line = top + _HEAD + _ROW * (row + 0.3)
            colour = BLUE if one.chosen else INK
            if one.chosen:
                ax.text(0.18, line, "➤", fontsize=9, color=BLUE, va="center", family="DejaVu Sans")
            ax.text(0.45, line, _mathematics(one.formula), fontsize=9.5, color=colour, va="center")
            ax.text(5.85, line, f"{one.proposal:.2f}", fontsize=8.5, color=colour, va="center", ha="right")
            tone = colour if one.residual < right else ORANGE
            ax.text(7.4, line, _residual(one.residual), fontsize=8.5, color=tone, va="center", ha="right")
        top += height
        ax.plot([0.15, _WIDE - 0.15], [top, top], color=FAINT, linewidth=0.7)
    return drawn


def _mathematics(text: str) -> str:
    return f"${text}$" if len(text) <= _LONGEST else "(too long to show)"


def _residual(value: float) -> str:
    if value == float("inf"):
        return "∞"
    if value == 0:
        return "0"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
