"""Fan charts of futures: a band that contains most of them, some of them, the truth, and a single prediction.

Shape letters: N futures, T steps, D features.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.plots.style import BLUE, MUTED, ORANGE, figure, ruled


def fan(past: Tensor, futures: Tensor, truth: Tensor, single: Tensor, dims: int = 3) -> Figure:
    """One plot per feature: the band of 80 % of the futures, five of them, the truth and the single prediction.

    Args:
        past: (D,), the common start.
        futures: (N, T, D), in blue.
        truth: (T, D), in orange.
        single: (T, D), grey and dashed.
        dims: number of features to draw, at most D.

    >>> len(fan(torch.zeros(2), torch.randn(9, 5, 2), torch.zeros(5, 2), torch.zeros(5, 2)).axes)
    2
    """
    dims = min(dims, len(past))

    def whole(path: Tensor) -> np.ndarray:
        return torch.cat([past[None], path]).numpy()

    drawn = figure(5.2, 1.35 * dims + 0.5)
    axes = drawn.subplots(dims, 1, sharex=True, squeeze=False)[:, 0]
    times, paths = np.arange(len(truth) + 1), np.stack([whole(path) for path in futures])
    low, high = np.quantile(paths, (0.1, 0.9), axis=0)
    for dim, ax in enumerate(axes):
        ruled(ax, None, "steps ahead" if dim == dims - 1 else None, f"component {dim + 1}")
        ax.fill_between(times, low[:, dim], high[:, dim], color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(times, paths[:5, :, dim].T, color=BLUE, linewidth=0.7, alpha=0.7)
        ax.plot(times, whole(single)[:, dim], color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)))
        ax.plot(times, whole(truth)[:, dim], color=ORANGE, linewidth=1.8)
    return drawn
