"""Feature maps, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import INK, SIGNED, bare, figure
from lowland.words import plotted


def layer_maps(layers: Mapping[str, Tensor]) -> Figure:
    """What each layer of a net makes of one image: a row of maps for each, blue below zero and orange above.

    Args:
        layers: maps (N, H, W) by the name of the layer; each row has its own scale about zero.

    Raises:
        ShapeError: for maps of another shape.

    >>> import torch
    >>> drawn = layer_maps({"image": torch.zeros(1, 8, 8), "C1": torch.ones(6, 4, 4)})
    >>> [ax.get_ylabel() for ax in drawn.axes]
    ['image', 'C1']
    """
    for name, maps in layers.items():
        if maps.ndim != 3 or not maps.numel():
            raise ShapeError(f"The maps of {name} must have the shape (N, H, W), not {tuple(maps.shape)}.")
    drawn = figure(9.0, 0.85 * len(layers))
    for ax, (name, maps) in zip(drawn.subplots(len(layers), 1, squeeze=False)[:, 0], layers.items(), strict=True):
        count, height, width = maps.shape
        sheet = np.full((height, count * width + (count - 1) * max(1, width // 8)), np.nan)
        for index, one in enumerate(maps.detach().cpu().numpy()):
            sheet[:, index * (width + max(1, width // 8)) :][:, :width] = one
        largest = max(float(maps.detach().abs().max()), 1e-12)
        ax.imshow(sheet, cmap=SIGNED, vmin=-largest, vmax=largest, interpolation="nearest")
        ax.set_anchor("W")
        bare(ax)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_ylabel(plotted(name), fontsize=8.5, color=INK, rotation=0, ha="right", va="center")
    return drawn
