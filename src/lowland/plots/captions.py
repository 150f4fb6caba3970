"""Images with the captions that were made for them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import INK, ORANGE, bare, figure
from lowland.words import plotted

_WIDE, _LETTERS = 2.1, 26


def captioned_images(images: Tensor, texts: Sequence[str], right: Sequence[bool], columns: int = 4) -> Figure:
    """Each image with its caption below it; orange where it is wrong.

    Args:
        images: (N, 3, H, W) in [0, 1].
        texts: N captions.
        right: whether each is right.
        columns: images side by side.

    Raises:
        ShapeError: for other numbers of texts or judgements than of images, or no images.

    >>> import torch
    >>> drawn = captioned_images(torch.rand(2, 3, 8, 8), ["a red ring", "a disc"], [True, False])
    >>> [ax.get_xlabel() for ax in drawn.axes]
    ['a red ring', 'a disc']
    """
    if images.ndim != 4 or not len(images) == len(texts) == len(right) or not len(images):
        raise ShapeError(
            f"Images (N, 3, H, W) need N texts and judgements, but they are {tuple(images.shape)} with {len(texts)} "
            f"texts and {len(right)} judgements."
        )
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    drawn = figure(_WIDE * columns, (_WIDE + 0.55) * rows)
    panels = drawn.subplots(rows, columns, squeeze=False).flatten()
    pixels = images.detach().cpu().clamp(0, 1).permute(0, 2, 3, 1).numpy()
    for ax, image, text, good in zip(panels, pixels, texts, right, strict=False):
        ax.imshow(image, interpolation="nearest")
        bare(ax)
        label = "\n".join(textwrap.wrap(plotted(text), _LETTERS))
        ax.set_xlabel(label, fontsize=8, color=INK if good else ORANGE, labelpad=3)
    for ax in panels[len(images) :]:
        ax.axis("off")
    return drawn
