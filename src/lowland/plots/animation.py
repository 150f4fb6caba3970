"""Inference as an animation: points that descend a landscape, as a GIF."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import GOLD, ORANGE, PAPER


def animate(drawn: Figure, trajectory: Tensor, *, seconds: float = 4.0, frames: int = 48, dpi: int = 96) -> bytes:
    """A GIF of points that move over a plot, each with its path behind it; the last frame stays for a second.

    Args:
        drawn: the plot, such as a `landscape`; it is restored afterwards.
        trajectory: (T, B, 2) in the coordinates of its first axes, such as `Solution.trajectory` over y.
        seconds: length of the motion.
        frames: maximum number of the T steps shown, evenly spaced by the distance that the points travel, so that a
            slow end does not dominate the animation.
        dpi: resolution.

    Returns:
        The bytes of the GIF, which loops forever.

    Raises:
        ShapeError: for a trajectory of another shape.

    >>> from lowland.plots.landscape import landscape
    >>> bowl = landscape(lambda y: y.square().sum(dim=1), ((-1, 1), (-1, 1)), resolution=20)
    >>> import torch
    >>> animate(bowl, torch.linspace(1, 0, 5)[:, None, None].expand(5, 1, 2), frames=3, dpi=40)[:6]
    b'GIF89a'
    """
    if trajectory.ndim != 3 or trajectory.shape[2] != 2 or not len(trajectory):
        raise ShapeError(f"A trajectory must have shape (T, B, 2), not {tuple(trajectory.shape)}.")
    path = trajectory.detach().double().cpu().numpy()
    shown = _spread(path, frames)
    before = drawn.dpi
    drawn.set_dpi(dpi)
    canvas, ax = cast(FigureCanvasAgg, drawn.canvas), drawn.axes[0]
    trails = [ax.plot([], [], color=ORANGE, linewidth=1.6, alpha=0.9, animated=True, zorder=6)[0] for _ in path[0]]
    dots = ax.scatter(*path[0].T, s=38, c=GOLD, edgecolors=PAPER, linewidths=1.2, animated=True, zorder=8)
    canvas.draw()
    background = canvas.copy_from_bbox(drawn.bbox)
    pages = []
    for step in shown:
        canvas.restore_region(background)
        for index, trail in enumerate(trails):
            trail.set_data(path[: step + 1, index, 0], path[: step + 1, index, 1])
            ax.draw_artist(trail)
        dots.set_offsets(path[step])
        ax.draw_artist(dots)
        pages.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3].copy()))
    for artist in (*trails, dots):
        artist.remove()
    drawn.set_dpi(before)
    # One palette for all frames, so that the background does not flicker.
    palette = pages[-1].quantize(128, method=Image.Quantize.MEDIANCUT)
    indexed = [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
    pause = [max(20, round(1000 * seconds / len(shown)))] * (len(shown) - 1) + [1000]
    buffer = io.BytesIO()
    indexed[0].save(buffer, "GIF", save_all=True, append_images=indexed[1:], duration=pause, loop=0)
    return buffer.getvalue()


def _spread(path: np.ndarray, frames: int) -> np.ndarray:
    """Steps at equal distances along the mean path, first and last included."""
    moved = np.linalg.norm(np.diff(path, axis=0), axis=2).mean(axis=1)
    along = np.concatenate([[0.0], np.cumsum(np.nan_to_num(moved))])
    if along[-1] == 0:
        return np.array([0])
    return np.unique(np.searchsorted(along, np.linspace(0, along[-1], min(frames, len(path)))).clip(0, len(path) - 1))
