"""Sudoku boards: the clues, what an answer holds likeliest in each cell, and where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import FAINT, INK, ORANGE, bare, figure


def boards(answers: Tensor, clues: Tensor, truth: Tensor, titles: Sequence[str]) -> Figure:
    """Boards side by side: clues grey, other cells black where they are right and orange where they are wrong.

    Args:
        answers: (K, N³) one answer per board, of which the largest entry of a cell counts.
        clues, truth: (N³,) the clues and the solution, 1 for true entries.
        titles: K of them.

    Raises:
        ShapeError: for answers that do not fit the truth or the titles, or whose size is no cube of a square.

    >>> import torch
    >>> truth = torch.eye(4)[torch.tensor([0, 1, 2, 3, 2, 3, 0, 1, 1, 0, 3, 2, 3, 2, 1, 0])].flatten()
    >>> len(boards(truth[None], truth, truth, ["solved"]).axes[0].texts)
    16
    """
    values = round(truth.numel() ** (1 / 3))
    block = math.isqrt(values)
    if block**6 != truth.numel() or answers.shape != (len(titles), truth.numel()) or clues.shape != truth.shape:
        raise ShapeError(
            f"Boards need answers (titles, N³), clues and truth (N³,) with N a square, not {tuple(answers.shape)} for "
            f"{len(titles)} titles, {tuple(clues.shape)} and {tuple(truth.shape)}."
        )
    drawn = figure(1.9 * len(titles), 2.15)
    given = clues.view(-1, values).any(dim=1).tolist()
    right = truth.view(-1, values).argmax(dim=1).tolist()
    for index, (answer, title) in enumerate(zip(answers, titles, strict=True)):
        axes = drawn.add_subplot(1, len(titles), index + 1)
        bare(axes, title)
        axes.set(xlim=(0, values), ylim=(values, 0), aspect="equal")
        for line in range(values + 1):
            bold = line % block == 0
            for draw in (axes.axhline, axes.axvline):
                draw(line, color=INK if bold else FAINT, linewidth=0.9 if bold else 0.4, clip_on=False)
        for cell, value in enumerate(answer.view(-1, values).argmax(dim=1).tolist()):
            colour = "0.6" if given[cell] else INK if value == right[cell] else ORANGE
            row, column = divmod(cell, values)
            axes.text(
                column + 0.5, row + 0.54, str(value + 1), ha="center", va="center", fontsize=6, color=colour,
                fontweight="normal" if given[cell] else "bold",
            )  # fmt: skip
    return drawn
