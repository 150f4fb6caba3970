"""Stacks over a sequence of symbols, and which sizes of words copies of a network get right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import BLUE, FAINT, INK, MUTED, ORANGE, SCORE, figure, ruled
from lowland.words import plotted

_RIGHT = ListedColormap([ORANGE, BLUE])


def stack_heights(depths: Mapping[str, Tensor], texts: Sequence[str]) -> Figure:
    """How many entries each stack has before each symbol, a panel for each network; symbols stand below.

    Stacks that never change are grey.

    Args:
        depths: by name, (T, K), see `lowland.evaluation.counting.stack_depths`.
        texts: the T symbols of each panel.

    Raises:
        ShapeError: without panels, or where a text has another number of symbols.

    >>> import torch
    >>> len(stack_heights({"ab": torch.tensor([[1, 0], [0, 0]])}, ["ab"]).axes[0].lines)
    2
    """
    if not depths or [len(each) for each in depths.values()] != [len(text) for text in texts]:
        raise ShapeError("Each panel of stacks needs a text with one symbol for each of its depths.")
    drawn = figure(7.2, 2.1 * len(depths) + 0.3)
    panels = drawn.subplots(len(depths), 1, squeeze=False)[:, 0]
    for ax, (name, each), text in zip(panels, depths.items(), texts, strict=True):
        ruled(ax, None, None, "entries")
        ax.set_title(plotted(name), fontsize=9.5, color=INK, loc="left")
        for stack in range(each.shape[1]):
            heights = each[:, stack].tolist()
            moves = min(heights) != max(heights)
            ax.step(range(len(text)), heights, where="mid", color=BLUE if moves else FAINT, lw=1.2, alpha=0.8)
        ax.set_xticks(range(len(text)), list(text), fontsize=6)
        ax.set_xlim(-0.5, len(text) - 0.5)
    return drawn


def right_sizes(panels: Mapping[str, Tensor], trained: int, least: Sequence[int]) -> Figure:
    """Which sizes are right, a row for each copy, blue for right and orange for wrong; a line where training ended.

    Args:
        panels: by name, (S, N) of booleans, sizes rising.
        trained: largest size that was trained.
        least: the smallest size of each panel.

    Raises:
        ShapeError: without panels, or for another number of smallest sizes.

    >>> import torch
    >>> len(right_sizes({"ab": torch.ones(3, 9, dtype=torch.bool)}, 5, [1]).axes)
    1
    """
    if not panels or len(panels) != len(least):
        raise ShapeError(f"Each of {len(panels)} panels needs a smallest size, but there are {len(least)}.")
    rows = [len(each) for each in panels.values()]
    drawn = figure(7.2, 0.17 * sum(rows) + 0.55 * len(rows) + 0.3)
    axes = drawn.subplots(len(panels), 1, squeeze=False, height_ratios=rows)[:, 0]
    for ax, (name, each), first in zip(axes, panels.items(), least, strict=True):
        copies, sizes = each.shape
        extent = (first - 0.5, first + sizes - 0.5, copies, 0)
        ax.imshow(each.int().numpy(), cmap=_RIGHT, vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="none")
        for row in range(1, copies):
            ax.axhline(row, color="white", lw=1)
        ax.axvline(trained + 0.5, color=INK, lw=1.2)
        ax.set_yticks([])
        ax.tick_params(labelsize=7, colors=MUTED)
        ax.set_title(plotted(name), fontsize=9, color=INK, loc="left", pad=3)
        for spine in ax.spines.values():
            spine.set_visible(False)
    axes[-1].set_xlabel("size of the word", fontsize=8.5, color=MUTED)
    return drawn


def tape_heads(written: Tensor, read: Tensor) -> Figure:
    """Where a Turing machine writes and reads, cells upwards and places of a sequence to the right.

    Args:
        written, read: addresses (T, N), see `lowland.nn.turing_machine.TuringMachine.trace`.

    Raises:
        ShapeError: where the two have other sizes.

    >>> import torch
    >>> len(tape_heads(torch.eye(4), torch.eye(4)).axes)
    2
    """
    if written.shape != read.shape or written.ndim != 2:
        raise ShapeError(f"Both heads need addresses (T, N), but they are {written.shape} and {read.shape}.")
    drawn = figure(7.2, 3.2)
    for ax, (name, each) in zip(drawn.subplots(1, 2), {"writes": written, "reads": read}.items(), strict=True):
        ax.imshow(each.T.numpy(), cmap=SCORE, vmin=0, vmax=1, origin="lower", aspect="auto", interpolation="none")
        ax.tick_params(labelsize=7, colors=MUTED)
        ax.set_title(name, fontsize=9, color=INK, loc="left", pad=3)
        ax.set_xlabel("place of the sequence", fontsize=8, color=MUTED)
        ax.set_ylabel("cell", fontsize=8, color=MUTED)
    return drawn
