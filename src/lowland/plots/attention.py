"""What a memory network attends to: sentences of a story, a column for each hop."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import INK, MUTED, ORANGE, PAPER, SCORE, figure
from lowland.words import plotted

_WIDE, _CELL, _DARK = 42, 0.55, 0.6


def attention_by_hop(
    attention: Tensor, story: Sequence[str], question: str, answer: str, truth: str, support: Sequence[int] = ()
) -> Figure:
    """The sentences of a story, earliest above, with what each hop attends to; those that support the answer are bold.

    Args:
        attention: (H, M), the last sentence told first, as in a memory.
        story: at most M of the last sentences are drawn.
        question, answer, truth: what was asked, answered, and right.
        support: places of the sentences that are needed.

    Raises:
        ShapeError: for an attention that is no matrix, or no sentences.

    >>> import torch
    >>> story = ["mary went home", "john left"]
    >>> drawn = attention_by_hop(torch.tensor([[0.9, 0.1]]), story, "where is mary", "home", "home")
    >>> [text.get_text() for text in drawn.axes[0].texts][1:3]
    ['.10', 'john left']
    """
    if attention.ndim != 2 or not story:
        raise ShapeError(f"Attention has axes hops and sentences of a story, but it is {tuple(attention.shape)}.")
    hops, memory = attention.shape
    first = max(0, len(story) - memory)
    rows = list(range(first, len(story)))
    drawn = figure(6.6, 0.24 * (len(rows) + 2.6))
    ax = drawn.add_subplot()
    ax.set(xlim=(-4.4, hops * _CELL + 0.1), ylim=(len(rows) + 1.3, -1.1))
    ax.axis("off")
    for line, row in enumerate(rows):
        needed = row in support
        ax.text(
            -0.1, line + 0.5, plotted(story[row], _WIDE), ha="right", va="center", fontsize=8.5,
            color=INK if needed else MUTED, weight="bold" if needed else "normal",
        )  # fmt: skip
        for hop in range(hops):
            share = float(attention[hop, len(story) - 1 - row])
            ax.add_patch(_cell(hop * _CELL, line, share))
            shade = PAPER if share > _DARK else INK
            text = f"{share:.2f}".removeprefix("0") if share >= 0.005 else ""
            ax.text((hop + 0.45) * _CELL, line + 0.5, text, ha="center", va="center", fontsize=7.5, color=shade)
    for hop in range(hops):
        ax.text((hop + 0.45) * _CELL, -0.5, f"hop {hop + 1}", ha="center", va="center", fontsize=8, color=MUTED)
    said = f"{question}?  {answer}" + ("" if answer == truth else f"  (right: {truth})")
    colour = INK if answer == truth else ORANGE
    ax.text(-0.1, len(rows) + 0.8, plotted(said, 72), ha="right", va="center", fontsize=8.5, color=colour)
    return drawn


def _cell(left: float, top: float, share: float) -> Rectangle:
    shade = SCORE(min(max(share, 0.0), 1.0))
    return Rectangle((left, top + 0.06), 0.9 * _CELL, 0.88, facecolor=shade, linewidth=0)
