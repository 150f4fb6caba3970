"""Plots of Gymnasium's pendulum: a function over its states with episodes, and a film.

Shape letters: N episodes, T steps, S × S states of a grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from torch import Tensor

from lowland.envs.pendulum import angle
from lowland.plots.style import INK, MUTED, ORANGE, PAPER, bare, figure, ruled

_RODS = (ORANGE, "#1f6fb2", "#009e73")


class PhaseGrid(NamedTuple):
    """States on a grid: `angles` (S,), `speeds` (S,), and `observations` (S · S, 3), with angles varying fastest."""

    angles: Tensor
    speeds: Tensor
    observations: Tensor


def phase_grid(size: int = 61) -> PhaseGrid:
    """All angles, and speeds from −8 to 8 rad/s, the limits of the plant.

    >>> phase_grid(5).observations.shape
    torch.Size([25, 3])
    """
    angles, speeds = torch.linspace(-math.pi, math.pi, size), torch.linspace(-8, 8, size)
    v, a = torch.meshgrid(speeds, angles, indexing="ij")
    return PhaseGrid(angles, speeds, torch.stack([a.cos(), a.sin(), v], dim=-1).flatten(0, 1))


def phase_plane(
    ax: Axes, grid: PhaseGrid, values: Tensor, paths: Tensor, title: str, cmap: Any, levels: int,
    edges: Sequence[float] = (),
) -> ContourSet:  # fmt: skip
    """Filled contours over angle and speed, with episodes as lines from a dot at their start.

    Args:
        ax: axes to draw into.
        grid: the states.
        values: (S · S,), one per state of the grid.
        paths: (N, T, 3), observations of episodes.
        title: above the plot.
        cmap: colour map of the values.
        levels: number of contours.
        edges: angles to mark with dashed lines.
    """
    filled = ax.contourf(grid.angles, grid.speeds, values.reshape(len(grid.speeds), -1), levels=levels, cmap=cmap)
    for edge in edges:
        ax.axvline(edge, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    for path in paths:
        turn = angle(path)
        # No line across the plot where the angle wraps at π.
        broken = torch.cat([torch.zeros(1, dtype=torch.bool), turn.diff().abs() > math.pi])
        x, y = (part.masked_fill(broken, math.nan) for part in (turn, path[:, 2]))
        ax.plot(x, y, color=ORANGE, linewidth=1.1)
        ax.scatter(turn[:1], path[:1, 2], s=16, color=PAPER, edgecolors=ORANGE, zorder=5)
    ruled(ax, title, "angle from upright, rad", "angular speed, rad/s")
    ax.set_xticks([-math.pi, 0, math.pi], ["−π", "0", "π"])
    ax.grid(visible=False)
    return filled


def swinging(paths: Mapping[str, Tensor]) -> Iterator[np.ndarray]:
    """Frames of a film, one per step: the drivers side by side, each with its first three episodes as rods.

    Args:
        paths: by driver, observations (N, T, 3) of its episodes.

    >>> next(swinging({"still": torch.tensor([1.0, 0.0, 0.0]).expand(1, 2, 3)})).shape
    (250, 640, 3)
    """
    drawn = figure(6.4, 2.5)
    axes = np.ravel(drawn.subplots(1, len(paths)))
    rods = []
    for ax, name in zip(axes, paths, strict=True):
        bare(ax, name)
        ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
        ax.scatter([0], [0], s=20, color=MUTED, zorder=4)
        rods.append([ax.plot([], [], color=c, linewidth=5, solid_capstyle="round", alpha=0.9)[0] for c in _RODS])
    canvas: Any = drawn.canvas
    canvas.draw()
    background = canvas.copy_from_bbox(drawn.bbox)
    for t in range(min(path.shape[1] for path in paths.values())):
        canvas.restore_region(background)
        for ax, row, path in zip(axes, rods, paths.values(), strict=True):
            for rod, episode in zip(row, path, strict=False):
                rod.set_data([0, -float(episode[t, 1])], [0, float(episode[t, 0])])
                ax.draw_artist(rod)
        yield np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
