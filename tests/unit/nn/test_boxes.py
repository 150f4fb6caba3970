"""Cells, suppression and sampling: inverses of each other, and equal to slow references."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.data.boxes import overlaps
from lowland.errors import DataError, OptionError
from lowland.nn.boxes import Cells, paste_masks, sample_boxes, suppress


def random_boxes(count: int, side: float, generator: torch.Generator, least: float = 4.0) -> torch.Tensor:
    sizes = least + (side / 2 - least) * torch.rand(count, 2, generator=generator)
    corners = (side - sizes) * torch.rand(count, 2, generator=generator)
    return torch.cat([corners, corners + sizes], dim=1)


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_painted_is_read_again(turned: bool, generator: torch.Generator) -> None:
    """Of one box alone, exactly, but for the rounding of a logarithm and its inverse: 1e-4 pixels of 128."""
    cells = Cells(128, turned=turned)
    for box in random_boxes(40, 128, generator, least=8.0):
        angle = torch.rand(1, generator=generator) * 6 - 3
        heat, numbers = cells.paint(box[None], angle if turned else None)
        assert float(heat.max()) == 1.0
        (found,) = cells.read(heat[None], numbers[None])
        assert len(found.boxes) == 1
        torch.testing.assert_close(found.boxes[0], box, atol=1e-4, rtol=0)
        if turned:
            torch.testing.assert_close(found.angles, angle)


def test_every_hot_cell_tells_of_its_box(generator: torch.Generator) -> None:
    cells, box = Cells(64, (4, 8)), torch.tensor([[10.0, 12, 30, 34]])
    heat, numbers = cells.paint(box)
    told = cells.boxes(numbers[None])[0][heat > 0]
    assert 10 <= len(told) <= 13  # cells at most two away
    torch.testing.assert_close(told, box.expand(len(told), -1), atol=1e-4, rtol=0)
    assert bool((numbers[:, heat == 0] == 0).all())


def test_a_box_is_on_the_scale_of_its_size() -> None:
    boxes = torch.tensor([[0.0, 0, 23, 23], [0.0, 0, 24, 24], [0.0, 0, 12, 47], [0.0, 0, 48, 48], [0.0, 0, 128, 128]])
    assert Cells(128).scale_of(boxes).tolist() == [0, 1, 0, 2, 2]
    heat, _ = Cells(128).paint(boxes[3:4])
    fine, middle, coarse = Cells(128).maps(heat[None])
    assert (float(fine.max()), float(middle.max()), float(coarse.max())) == (0.0, 0.0, 1.0)


def test_heat_is_a_gaussian_around_the_cell_of_the_centre() -> None:
    heat, _ = Cells(32, (4,)).paint(torch.tensor([[9.0, 5, 15, 11]]))  # centre (12, 8): cell of column 3, row 2
    table = heat.reshape(8, 8)
    assert table[2, 3] == 1
    assert float(table[2, 4]) == pytest.approx(math.exp(-0.5))
    assert float(table[0, 3]) == pytest.approx(math.exp(-2))
    assert table[2, 6] == 0


def test_many_boxes_are_read_apart(generator: torch.Generator) -> None:
    boxes = torch.tensor([[4.0, 4, 20, 20], [30.0, 6, 54, 26], [8.0, 40, 60, 100], [70.0, 70, 120, 124]])
    (found,) = Cells(128).read(*(part[None] for part in Cells(128).paint(boxes)))
    assert len(found.boxes) == 4
    assert torch.equal(overlaps(found.boxes, boxes).amax(dim=0) > 0.99, torch.ones(4, dtype=torch.bool))


def test_the_edge_of_the_image_holds_a_centre() -> None:
    heat, _ = Cells(16, (4,)).paint(torch.tensor([[15.5, 15.5, 16, 16]]))
    assert heat[-1] == 1
    assert [len(part) for part in Cells(16, (4,)).read(torch.zeros(1, 16), torch.zeros(1, 4, 16))[0]] == [0, 0, 0]


def slow_suppression(boxes: torch.Tensor, scores: torch.Tensor, overlap: float) -> list[int]:
    """One pair at a time, from the definition."""
    left, kept = sorted(range(len(boxes)), key=lambda row: (-float(scores[row]), row)), []
    while left:
        best, left = left[0], left[1:]
        kept.append(best)
        left = [row for row in left if float(overlaps(boxes[best : best + 1], boxes[row : row + 1])) <= overlap]
    return kept


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9])
def test_suppression_equals_the_slow_one(overlap: float, generator: torch.Generator) -> None:
    for count in (0, 1, 40):
        boxes = random_boxes(count, 40, generator)
        scores = (torch.rand(count, generator=generator) * 10).round() / 10  # some are equal
        assert suppress(boxes, scores, overlap).tolist() == slow_suppression(boxes, scores, overlap)


def slow_sample(maps: torch.Tensor, box: torch.Tensor, size: int, stride: float, samples: int) -> torch.Tensor:
    """RoIAlign, one point at a time."""
    channels, height, width = maps.shape
    left, top, right, bottom = (float(edge) / stride for edge in box)
    out = torch.zeros(channels, size, size, dtype=maps.dtype)
    for i in range(size):
        for j in range(size):
            for u in range(samples):
                for v in range(samples):
                    y = top + (i + (u + 0.5) / samples) * (bottom - top) / size - 0.5
                    x = left + (j + (v + 0.5) / samples) * (right - left) / size - 0.5
                    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
                    a, b = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
                    c, d = min(a + 1, height - 1), min(b + 1, width - 1)
                    s, t = y - a, x - b
                    out[:, i, j] += (
                        (1 - s) * (1 - t) * maps[:, a, b] + (1 - s) * t * maps[:, a, d]
                        + s * (1 - t) * maps[:, c, b] + s * t * maps[:, c, d]
                    )  # fmt: skip
    return out / samples**2


@pytest.mark.parametrize(("size", "stride", "samples"), [(3, 1.0, 1), (2, 4.0, 2), (5, 2.0, 3)])
def test_sampling_equals_the_slow_one(size: int, stride: float, samples: int, generator: torch.Generator) -> None:
    """In double precision, to the rounding of coordinates, 1e-12, times the slope of the maps, about 1."""
    maps = torch.rand(2, 3, 7, 9, generator=generator, dtype=torch.float64)
    boxes = [random_boxes(count, 7 * stride, generator, least=1.0).double() for count in (3, 2)]
    boxes[0][0] = torch.tensor([0.0, 0, 9 * stride, 7 * stride])  # the whole map, to its border
    found = sample_boxes(maps, boxes, size, stride, samples)
    expected = [
        slow_sample(one, box, size, stride, samples) for one, own in zip(maps, boxes, strict=True) for box in own
    ]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-10, rtol=0)


def test_sampling_no_boxes() -> None:
    none = torch.zeros(0, 4)
    assert sample_boxes(torch.rand(2, 3, 4, 4), [none, torch.tensor([[0.0, 0, 2, 2]])], 5).shape == (1, 3, 5, 5)
    assert sample_boxes(torch.rand(1, 3, 4, 4), [none], 5).shape == (0, 3, 5, 5)
    assert paste_masks(torch.zeros(0, 5, 5), none, 8).shape == (0, 8, 8)


def test_masks_are_pasted_where_they_were_sampled(generator: torch.Generator) -> None:
    """A disc of a radius of 12 pixels in a box of 30: each side of its edge moves by less than half a bin, 30 / 56."""
    rows = torch.arange(48.0) + 0.5
    disc = ((rows[:, None] - 24).square() + (rows[None] - 22).square() <= 144).float()
    box = torch.tensor([[7.0, 9, 37, 39]])
    inside = sample_boxes(disc[None, None], [box], 28)[:, 0]
    back = paste_masks(inside, box, 48)[0] > 0.5
    wrong = (back != (disc > 0.5)).sum()
    assert float(wrong) <= 2 * math.pi * 12 * 0.54
    left, top, right, bottom = box[0].int().tolist()
    outside = torch.ones(48, 48, dtype=torch.bool)
    outside[top:bottom, left:right] = False
    assert not back[outside].any()


def test_cells_and_boxes_that_cannot_be() -> None:
    for side, strides in ((30, (4, 8)), (32, (8, 4)), (32, ())):
        with pytest.raises(OptionError, match="must rise and divide"):
            Cells(side, strides)
    with pytest.raises(DataError, match="outside the image"):
        Cells(32, (4,)).paint(torch.tensor([[0.0, 0, 40, 20]]))
