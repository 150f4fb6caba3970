"""Boxes around things in an image: left, top, right and bottom edges in pixels, right and bottom excluded.

Shape letters: N and M boxes, H × W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import DataError, ShapeError


def check_boxes(boxes_N4: Tensor, height: int, width: int) -> Tensor:
    """The boxes as they are.

    Raises:
        ShapeError: if they are not floating-point (N, 4).
        DataError: for a box that is not finite, has no area, or leaves the image.

    >>> check_boxes(torch.tensor([[0.0, 0.0, 9.0, 4.0]]), height=8, width=8)
    Traceback (most recent call last):
    lowland.errors.DataError: Box 0 is (0, 0, 9, 4), outside the image of 8 × 8 pixels: clip it to the image first.
    """
    if boxes_N4.dim() != 2 or boxes_N4.shape[1] != 4 or not boxes_N4.is_floating_point():
        raise ShapeError(f"Boxes must be floating-point (N, 4), but they are {boxes_N4.dtype} {tuple(boxes_N4.shape)}.")
    for number, (left, top, right, bottom) in enumerate(boxes_N4.tolist()):
        said = f"Box {number} is ({left:g}, {top:g}, {right:g}, {bottom:g})"
        if not (left < right and top < bottom):  # false for a NaN too
            raise DataError(f"{said}, without an area: give left, top, right and bottom edges, in this order.")
        if min(left, top) < 0 or right > width or bottom > height:
            raise DataError(f"{said}, outside the image of {width} × {height} pixels: clip it to the image first.")
    return boxes_N4


def overlaps(first_N4: Tensor, second_M4: Tensor) -> Tensor:
    """Intersection over union of each box with each other, (N, M), from 0 to 1.

    >>> overlaps(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2], [5.0, 5, 6, 6]]))
    tensor([[0.3333, 0.0000]])
    """
    low_NM2 = torch.maximum(first_N4[:, None, :2], second_M4[None, :, :2])
    high_NM2 = torch.minimum(first_N4[:, None, 2:], second_M4[None, :, 2:])
    both_NM = (high_NM2 - low_NM2).clamp_min(0).prod(dim=2)
    areas_N, areas_M = ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (first_N4, second_M4))
    return both_NM / (areas_N[:, None] + areas_M[None] - both_NM)


def mask_overlaps(first_NHW: Tensor, second_MHW: Tensor) -> Tensor:
    """Intersection over union of each mask with each other, (N, M); two empty masks have 0.

    >>> mask_overlaps(torch.tensor([[[True, True]]]), torch.tensor([[[True, False]]]))
    tensor([[0.5000]])
    """
    first_NP, second_MP = first_NHW.flatten(1).float(), second_MHW.flatten(1).float()
    both_NM = first_NP @ second_MP.T
    return both_NM / (first_NP.sum(dim=1)[:, None] + second_MP.sum(dim=1)[None] - both_NM).clamp_min(1)


def box_of(mask_HW: Tensor) -> Tensor:
    """The smallest box around the true pixels of a mask, (4,).

    Raises:
        DataError: for an empty mask.

    >>> box_of(torch.tensor([[False, True, True], [False, False, True]]))
    tensor([1., 0., 3., 2.])
    """
    rows, columns = (mask_HW.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    if not len(rows):
        raise DataError("A mask without a pixel has no box: leave it out.")
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
