"""Plans of a system with a position and a speed: where they lead, and what they do.

Shape letters: N starts, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import OptionError
from lowland.plots.style import BLUE, INK, MUTED, ORANGE, figure, ruled
from lowland.words import plotted

_LINES: tuple[dict[str, Any], ...] = (
    {"color": INK, "linewidth": 5.0, "alpha": 0.18, "linestyle": "-"},
    {"color": BLUE, "linewidth": 1.4, "alpha": 1.0, "linestyle": "-"},
    {"color": ORANGE, "linewidth": 1.4, "alpha": 1.0, "linestyle": (0, (3, 2))},
)


def plan_paths(plans: Mapping[str, tuple[Tensor, Tensor]], step: float) -> Figure:
    """Position against speed on the left, with the origin, the action over time on the right, for up to three starts.

    Args:
        plans: by planner, its states (N, T + 1, 2), in m and m/s, and its actions (N, T), in m/s². The first, such as
            the exact plan, is drawn as a broad pale line, up to two others on top of it.
        step: seconds of a step.

    Raises:
        OptionError: unless there are one to three planners.

    >>> left, right = plan_paths({"rest": (torch.zeros(1, 4, 2), torch.zeros(1, 3))}, step=0.1).axes
    >>> [text.get_text() for text in right.get_legend().get_texts()]
    ['rest']
    """
    if not 1 <= len(plans) <= len(_LINES):
        raise OptionError(f"The picture shows one to {len(_LINES)} planners, not {len(plans)}.")
    drawn = figure(9, 3.4)
    left, right = drawn.subplots(1, 2)
    for (name, (states, actions)), line in zip(plans.items(), _LINES, strict=False):
        for row, (path, action) in enumerate(zip(states[:3], actions[:3], strict=True)):
            label = plotted(name) if row == 0 else None
            left.plot(*path.T.numpy(), label=label, **line)
            right.plot(step * torch.arange(len(action)), action, label=label, **line)
    first, _ = next(iter(plans.values()))
    left.scatter(*first[:3, 0].T.numpy(), s=26, color=MUTED, zorder=5)
    left.scatter([0], [0], marker="x", s=36, color=INK, zorder=5)
    ruled(left, "Where the plans lead", "position, m", "speed, m/s")
    ruled(right, "What the plans are", "time, s", "acceleration, m/s²")
    right.legend(frameon=False, fontsize=8, labelcolor=INK)
    return drawn
