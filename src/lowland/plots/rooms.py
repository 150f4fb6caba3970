"""Pictures of dots in rooms, and of plans to a goal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from torch import Tensor

from lowland.envs.two_rooms import DOOR, REACHED, THICK, Tasks
from lowland.plots.style import BLUE, INK, MUTED, ORANGE, bare, figure


def paths_in_rooms(tasks: Tasks, paths: Mapping[str, tuple[Tensor, Tensor]], shown: int = 4) -> Figure:
    """The ways of some drivers through the same rooms: a row for each, orange where the goal was reached.

    Args:
        tasks: of the episodes.
        paths: by driver, places (B, T + 1, 2) and whether the goal was reached (B,).
        shown: episodes.

    >>> from lowland.envs.two_rooms import fixed_rooms, opposite_rooms
    >>> tasks = opposite_rooms(fixed_rooms(2))
    >>> len(paths_in_rooms(tasks, {"still": (tasks.start[:, None], torch.zeros(2, dtype=torch.bool))}, 2).axes)
    2
    """
    shown = min(shown, len(tasks.start))
    drawn = figure(1.7 * shown, 1.8 * len(paths))
    axes = drawn.subplots(len(paths), shown, squeeze=False)
    for row, (name, (path, reached)) in enumerate(paths.items()):
        for n in range(shown):
            ax = axes[row, n]
            bare(ax, name if n == 0 else None)
            ax.set(xlim=(0, 1), ylim=(1, 0), aspect="equal")
            for x, door in tasks.rooms.walls[n].tolist():
                for low, high in ((0.0, door - DOOR), (door + DOOR, 1.0)):
                    ax.add_patch(Rectangle((x - THICK, low), 2 * THICK, max(0.0, high - low), color=INK, alpha=0.75))
            ax.plot(*path[n].T.tolist(), color=ORANGE if reached[n] else BLUE, linewidth=1.3)
            ax.scatter(*tasks.start[n].tolist(), s=16, color=MUTED, zorder=4)
            ax.add_patch(Circle(tuple(tasks.goal[n].tolist()), REACHED, fill=False, color=INK, linewidth=0.9))
    return drawn


def plan_to_goal(start: Tensor, goal: Tensor, found: Mapping[str, Any]) -> Figure:
    """Start and goal as images (C, H, W), the planned actions, and how near the predicted code comes to the goal."""
    drawn = figure(9, 2.6)
    one, two, three, four = drawn.subplots(1, 4, width_ratios=(1, 1, 1.6, 1.6))
    for ax, image, title in ((one, start, "Start"), (two, goal, "Goal")):
        bare(ax, title)
        ax.imshow(_visible(image), cmap="gray", interpolation="nearest")
    for part, line in enumerate(torch.as_tensor(found["actions"]).T.tolist()):
        three.plot(line, label=f"part {part}")
    three.set(title="Planned actions", xlabel="step")
    three.legend(frameon=False, fontsize=8)
    four.plot(torch.as_tensor(found["distance"]).tolist(), color=ORANGE)
    four.set(title="Predicted distance to the goal", xlabel="step", ylim=(0, None))
    return drawn


def _visible(image: Tensor) -> Any:
    """(H, W) or (H, W, 3) of a (C, H, W) image."""
    return image.movedim(0, -1).numpy() if image.shape[0] == 3 else image.float().mean(dim=0).numpy()
