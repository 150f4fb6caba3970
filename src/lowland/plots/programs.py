"""A question about a picture, with the program that answers it drawn as a tree."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.block_programs import Node, tree
from lowland.errors import ShapeError
from lowland.plots.style import INK, MUTED, ORANGE, PAPER, bare, figure
from lowland.words import plotted

_ROW, _LETTERS = 0.21, 62


def program_tree(image: Tensor, question: str, program: Sequence[int], answer: str, truth: str) -> Figure:
    """A picture, its question above, its program as a tree, and the answer, orange where it is wrong.

    Args:
        image: (3, H, W) in [0, 1].
        question: in words.
        program: numbers of functions, one tree.
        answer, truth: what the program says, and what is right.

    Raises:
        ShapeError: for an image of another shape.
        DataError: for a program that is no tree.

    >>> import torch
    >>> from lowland.data.block_programs import parsed
    >>> drawn = program_tree(torch.rand(3, 8, 8), "how many", parsed("count scene"), "2", "2")
    >>> [text.get_text() for text in drawn.axes[1].texts]
    ['count', 'scene']
    """
    if image.ndim != 3 or len(image) != 3:
        raise ShapeError(f"An image of a question is (3, H, W), not {tuple(image.shape)}.")
    root = tree(program)
    deep = _depth(root)
    drawn = figure(5.4, max(2.6, _ROW * deep + 0.9))
    picture, plan = drawn.subplots(1, 2, width_ratios=(1, 1.35))
    picture.imshow(image.detach().cpu().clamp(0, 1).movedim(0, 2).numpy(), interpolation="nearest")
    bare(picture)
    said = answer if answer == truth else f"{answer} (right: {truth})"
    picture.set_xlabel(plotted(said), fontsize=9, color=INK if answer == truth else ORANGE, labelpad=4)
    drawn.suptitle("\n".join(textwrap.wrap(plotted(question, 240), _LETTERS)), fontsize=8.5, color=INK)
    _draw(plan, root, 0.0, 0)
    width = _leaves(root)
    plan.set(xlim=(-0.5, width - 0.5), ylim=(deep - 0.5, -0.5))
    plan.axis("off")
    return drawn


def _draw(ax: Axes, node: Node, left: float, level: int) -> float:
    """Draw a node whose leaves begin at `left`; where it stands."""
    at = left + (_leaves(node) - 1) / 2
    ax.text(
        at, level, node.name, ha="center", va="center", fontsize=7.5, color=INK, zorder=3,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.2},
    )  # fmt: skip
    for argument in node.arguments:
        below = _draw(ax, argument, left, level + 1)
        ax.plot([at, below], [level, level + 1], color=MUTED, linewidth=0.8, zorder=1)
        left += _leaves(argument)
    return at


def _leaves(node: Node) -> int:
    return sum(_leaves(argument) for argument in node.arguments) or 1


def _depth(node: Node) -> int:
    return 1 + max((_depth(argument) for argument in node.arguments), default=0)
