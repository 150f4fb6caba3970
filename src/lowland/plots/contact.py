"""Named rows of samples: photographs in their colours, or series as lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.views import two_views
from lowland.errors import ShapeError
from lowland.plots.style import FAMILIES, INK, bare, figure
from lowland.shaping.joint import Views
from lowland.words import plotted


def contact_sheet(rows: Mapping[str, Tensor], *, apart: int = 0, tile: float = 0.72) -> Figure:
    """Samples in named rows.

    Args:
        rows: by name, images (K, C, H, W) in [0, 1] with one or three channels, or series (K, C, T).
        apart: this many samples at the left are set off from the others by a gap.
        tile: side of a sample, in inches.

    Raises:
        ShapeError: for samples of another rank, or if there are no rows.

    >>> import torch
    >>> len(contact_sheet({"a": torch.rand(4, 3, 8, 8), "b": torch.rand(4, 3, 8, 8)}).axes[0].texts)
    2
    """
    first = next(iter(rows.values()), None)
    if first is None or first.ndim not in (3, 4) or (first.ndim == 4 and first.shape[1] not in (1, 3)):
        raise ShapeError(
            "A contact sheet needs rows of images (K, C, H, W), with 1 or 3 channels, or series (K, C, T)."
        )
    columns = max(len(row) for row in rows.values())
    names = max(1.3, *(0.085 * len(plotted(name)) for name in rows))
    drawn = figure(tile * columns + names + 0.3 * bool(apart), tile * len(rows) + 0.1)
    ax = drawn.add_subplot()
    gap = 0.25 if apart else 0.0
    for line, (name, row) in enumerate(rows.items()):
        for column, sample in enumerate(row.detach().cpu()):
            left = column + (gap if column >= apart else 0)
            _draw(ax, sample, left, line)
        ax.text(-0.12, line + 0.5, plotted(name), ha="right", va="center", fontsize=8.5, color=INK)
    bare(ax)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlim(0, columns + gap)
    ax.set_ylim(len(rows), 0)
    ax.set_aspect("equal")
    return drawn


def view_sheet(samples: Tensor, views: Views) -> Figure:
    """Samples, and below each of them two views of it.

    Args:
        samples: (N, ...), see `contact_sheet`.
        views: such as `lowland.data.views.ImageViews`.

    >>> from lowland.data.views import ImageViews
    >>> [text.get_text() for text in view_sheet(torch.rand(4, 3, 8, 8), ImageViews()).axes[0].texts]
    ['sample', 'a view', 'another']
    """
    a, b = two_views(views, samples)
    return contact_sheet({"sample": samples, "a view": a, "another": b})


def neighbour_sheet(queries: Tensor, neighbours: Iterable[Tensor]) -> Figure:
    """A row for each query: the sample, a gap, and the samples nearest to it. For images with labels see `retrieval`.

    Args:
        queries: (M, ...), see `contact_sheet`.
        neighbours: (K, ...) for each.

    >>> import torch
    >>> len(neighbour_sheet(torch.rand(3, 1, 8, 8), torch.rand(3, 2, 1, 8, 8)).axes[0].images)
    9
    """
    rows = (torch.cat([query[None], near]) for query, near in zip(queries, neighbours, strict=True))
    return contact_sheet(unnamed(rows), apart=1)


def unnamed(rows: Iterable[Tensor]) -> dict[str, Tensor]:
    """Rows without names, for a `contact_sheet`.

    >>> import torch
    >>> drawn = contact_sheet(unnamed([torch.rand(4, 3, 8, 8), torch.rand(2, 3, 8, 8)]))
    >>> [text.get_text().strip() for text in drawn.axes[0].texts]
    ['', '']
    """
    # Names of spaces are distinct and invisible.
    return {" " * (number + 1): row for number, row in enumerate(rows)}


def _draw(ax: Axes, sample: Tensor, left: float, top: float) -> None:
    """Draw one sample in a square of 0.94 units."""
    if sample.ndim == 3:
        pixels = sample.clamp(0, 1).permute(1, 2, 0).expand(-1, -1, 3).numpy()
        ax.imshow(pixels, extent=(left + 0.03, left + 0.97, top + 0.97, top + 0.03), interpolation="nearest")
        return
    values = sample.numpy()
    low, high = float(values.min()), float(values.max())
    x = left + 0.05 + 0.9 * np.linspace(0, 1, values.shape[1])
    for channel, line in enumerate(values[: len(FAMILIES)]):
        y = top + 0.9 - 0.8 * (line - low) / max(high - low, 1e-12)
        ax.plot(x, y, color=FAMILIES[channel], linewidth=0.8)
