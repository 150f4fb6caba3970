"""Reconstructions of one slice beside its truth, and below them what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.photographs import photographs

TIMES = 4
"""How many times brighter the errors are."""


def reconstructions(truth: Tensor | None, found: Mapping[str, Tensor]) -> Figure:
    """Magnitudes of complex images, the truth first, and 4 times the error of each below it; the same greys for all.

    White is the largest pixel of the truth, or without one of all images.

    Args:
        truth: (2, H, W), or None where it is not known; then there is one row.
        found: images (2, H, W) by name.

    Raises:
        ShapeError: for images of other shapes, or none.

    >>> y = torch.rand(2, 8, 8)
    >>> [ax.get_title() for ax in reconstructions(y, {"flat": 0 * y}).axes]
    ['truth', 'flat', '', 'error × 4']
    """
    images = {"truth": truth, **found} if truth is not None else dict(found)
    if not found or {tuple(image.shape) for image in images.values()} != {(2, *next(iter(found.values())).shape[1:])}:
        raise ShapeError(f"Images must have one shape (2, H, W), not {[tuple(one.shape) for one in images.values()]}.")
    sizes = {name: torch.linalg.vector_norm(image, dim=0, keepdim=True) for name, image in images.items()}
    white = float(max(size.max() for name, size in sizes.items() if truth is None or name == "truth")) or 1.0
    tiles = [(size / white, name) for name, size in sizes.items()]
    if truth is not None:
        right = sizes["truth"]
        tiles += [(torch.ones_like(right), "")]
        tiles += [(TIMES * (sizes[name] - right).abs() / white, f"error × {TIMES}") for name in found]
    drawn = photographs(tiles, columns=len(images))
    if truth is not None:
        drawn.axes[len(images)].axis("off")
    return drawn
