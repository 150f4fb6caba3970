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
from matplotlib.figure import Figure
from torch import Tensor

from lowland.envs.pendulum import SECONDS, angle
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Policy
from lowland.plots.style import INK, LAND, MUTED, ORANGE, PAPER, SCORE, bare, figure, ruled
from lowland.tensors import PerSampleRNG
from lowland.worlds.base import World
from lowland.worlds.uncertainty import variance

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


@torch.no_grad()
def cost_under_policy(policy: Policy, plan: PlanEnergy, paths: Tensor) -> Figure:
    """The cost to come from each state, as a model imagines it under a policy, with real episodes on it.

    Args:
        policy: acts on observations (B, 3).
        plan: the cost, the model and its horizon.
        paths: (N, T, 3), observations of episodes.
    """
    grid, drawn = phase_grid(), figure(6.4, 4.6)
    terms = plan.terms(act=lambda now, t: policy(now), **plan.draw({"observation": grid.observations}))
    ax = drawn.subplots()
    filled = phase_plane(ax, grid, terms.cost.flatten(), paths, "The cost that the policy descends", LAND, 24)
    drawn.colorbar(filled, ax=ax, label=f"cost of the next {SECONDS * plan.horizon:g} s").outline.set_visible(False)
    return drawn


@torch.no_grad()
def uncertainty_panels(panels: Mapping[str, tuple[World, Tensor]], masks: int, edges: Sequence[float] = ()) -> Figure:
    """The standard deviation of a model without torque in each state, with real episodes on it, side by side.

    The largest 2 % of the values have the colour of the next one.

    Args:
        panels: by title, a model with dropout or an ensemble, and observations (N, T, 3) of episodes.
        masks: of dropout, or members of the ensemble.
        edges: angles that are marked by dashed lines.

    >>> from lowland.worlds import VectorWorld
    >>> still = torch.tensor([1.0, 0.0, 0.0]).expand(1, 2, 3)
    >>> len(uncertainty_panels({"a model": (VectorWorld(3, 1, dropout=0.1), still)}, masks=2).axes)
    1
    """
    grid, drawn = phase_grid(), figure(4.5 * len(panels), 3.7)
    state = {"observation": grid.observations}
    for ax, (title, (world, paths)) in zip(np.ravel(drawn.subplots(1, len(panels))), panels.items(), strict=True):
        noise = PerSampleRNG(0, torch.zeros(len(grid.observations), dtype=torch.int64))
        drawn_masks = world.draw_mask(noise, masks)
        spread = variance(world, state, torch.zeros(len(drawn_masks), 1), None, drawn_masks).sqrt()
        phase_plane(ax, grid, spread.clamp_max(spread.quantile(0.98)), paths, title, SCORE, 20, edges)
    return drawn


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
