"""Labels of all pixels in colour, beside the images that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import FAMILIES, INK, bare, figure
from lowland.words import plotted

_NONE = "#ffffff"
_TALL = 0.95


def label_maps(images: Tensor, maps: Mapping[str, Tensor], classes: Sequence[str]) -> Figure:
    """A row of images, a row of labels for each name, and which colour is which class; white has no label.

    Args:
        images: (N, 3, H, W), uint8 or in [0, 1].
        maps: labels (N, H, W) by name, −1 for none.
        classes: K names. From the ninth on colours come again, lighter.

    Raises:
        ShapeError: for labels of another shape, or none.

    >>> import torch
    >>> drawn = label_maps(torch.rand(2, 3, 8, 8), {"truth": torch.zeros(2, 8, 8).long()}, ["sky", "grass"])
    >>> drawn.axes[2].get_ylabel(), [text.get_text() for text in drawn.legends[0].get_texts()]
    ('truth', ['sky', 'grass'])
    """
    count, _, height, width = images.shape
    if not maps or any(labels.shape != (count, height, width) for labels in maps.values()):
        shapes = [tuple(labels.shape) for labels in maps.values()]
        raise ShapeError(f"Labels must be (N, H, W) for images {tuple(images.shape)}, not {shapes}.")
    palette = np.array([to_rgb(_NONE), *(label_colour(number) for number in range(len(classes)))])
    pixels = images.detach().cpu().movedim(1, 3).numpy()
    rows = {"image": pixels, **{name: palette[labels.cpu().numpy() + 1] for name, labels in maps.items()}}
    drawn = figure(_TALL * width / height * count + 1.2, _TALL * len(rows) + 0.35)
    panels = drawn.subplots(len(rows), count, squeeze=False)
    for line, (name, tiles) in zip(panels, rows.items(), strict=True):
        for ax, tile in zip(line, tiles, strict=True):
            ax.imshow(tile, interpolation="nearest")
            bare(ax)
        line[0].set_ylabel(plotted(name), fontsize=8.5, color=INK, rotation=0, ha="right", va="center")
    handles = [Patch(color=label_colour(number), label=plotted(name)) for number, name in enumerate(classes)]
    drawn.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)), fontsize=8, frameon=False)
    return drawn


def label_colour(number: int) -> tuple[float, float, float]:
    """The colour of a class, red, green and blue from 0 to 1: eight of them, then lighter ones.

    >>> label_colour(0) == label_colour(8)
    False
    """
    red, green, blue = to_rgb(FAMILIES[number % len(FAMILIES)])
    light = 1 - 0.6 ** (number // len(FAMILIES))
    return (red + light * (1 - red), green + light * (1 - green), blue + light * (1 - blue))
