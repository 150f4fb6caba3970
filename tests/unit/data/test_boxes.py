"""Boxes: what is refused, and overlaps against counting pixels."""

from __future__ import annotations

import pytest
import torch

from lowland.data.boxes import box_of, check_boxes, mask_overlaps, overlaps
from lowland.errors import DataError, ShapeError


def whole_boxes(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Boxes with whole edges, so that pixels can be counted."""
    corners = torch.randint(side - 4, (count, 2), generator=generator)
    return torch.cat([corners, corners + torch.randint(1, 5, (count, 2), generator=generator)], dim=1).float()


def filled(boxes: torch.Tensor, side: int) -> torch.Tensor:
    masks = torch.zeros(len(boxes), side, side, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = True
    return masks


def test_overlaps_count_pixels(generator: torch.Generator) -> None:
    """Areas of boxes with whole edges are counts of pixels: both ways give the same fraction, rounded once."""
    first, second = whole_boxes(30, 12, generator), whole_boxes(20, 12, generator)
    table = overlaps(first, second)
    torch.testing.assert_close(table, mask_overlaps(filled(first, 12), filled(second, 12)), rtol=1e-6, atol=0)
    assert (table > 0).any()
    assert (table == 0).any()
    assert torch.equal(overlaps(first, first).diagonal(), torch.ones(30))


def test_the_box_of_a_mask_is_the_box_that_filled_it(generator: torch.Generator) -> None:
    boxes = whole_boxes(20, 12, generator)
    assert torch.equal(torch.stack([box_of(mask) for mask in filled(boxes, 12)]), boxes)


def test_empty_masks_overlap_nothing() -> None:
    assert mask_overlaps(torch.zeros(1, 4, 4) > 0, torch.zeros(2, 4, 4) > 0).tolist() == [[0.0, 0.0]]
    with pytest.raises(DataError, match="A mask without a pixel has no box"):
        box_of(torch.zeros(3, 3) > 0)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((-1, 0, 4, 4), r"Box 0 is \(-1, 0, 4, 4\), outside the image of 8 × 6 pixels"),
        ((0, 0, 9, 4), "outside the image"),
        ((0, 0, 8, 7), "outside the image"),
        ((4, 0, 4, 4), "without an area"),
        ((0, 5, 4, 4), "without an area"),
        ((0, 0, float("nan"), 4), "without an area"),
    ],
)
def test_boxes_that_cannot_be(box: tuple[float, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_boxes(torch.tensor([box], dtype=torch.float32), height=6, width=8)


@pytest.mark.parametrize("boxes", [torch.zeros(4), torch.zeros(2, 5), torch.zeros(1, 4, dtype=torch.long)])
def test_boxes_of_another_shape(boxes: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"Boxes must be floating-point \(N, 4\)"):
        check_boxes(boxes, 8, 8)
