"""What detectors do with boxes: coding them on cells of several scales, suppressing doubles, sampling what is inside.

Shape letters: B images, N boxes, M cells of all scales, D numbers of a cell, K places kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.boxes import check_boxes, overlaps
from lowland.errors import OptionError

WIDEST = 6.0
"""Cells that a thing is across at most, on all scales but the coarsest."""
_REACH = 2.0


class Found(NamedTuple):
    """Boxes of an image, the surest first: `boxes` (N, 4) in pixels, `scores` (N,) in [0, 1], `angles` (N,) or (0,)."""

    boxes: Tensor
    scores: Tensor
    angles: Tensor


@dataclass(frozen=True)
class Cells:
    """The cells of a square image at several scales, and how boxes are written on them and read from them.

    A box belongs to the finest scale on which √(width · height) is below six cells, else to the coarsest. There it
    paints a Gaussian of one cell standard deviation, 1 at the cell that holds its centre, as in Zhou, Wang &
    Krähenbühl, "Objects as points" (2019), section 3, and cut off two cells away. The four numbers of a box at a cell
    are the way from the middle of the cell to the centre of the box, in cells, and the logarithms of width and height
    over six cells. An angle is two numbers more, its cosine and sine.

    Args:
        side: height and width of the image, in pixels.
        strides: side of a cell on each scale, in pixels, from the finest.
        turned: whether there are angles.

    Raises:
        OptionError: for strides that do not rise or do not divide the side.

    >>> cells = Cells(32, (4, 8))
    >>> cells.count, cells.numbers, [len(part) for part in cells.paint(torch.tensor([[8.0, 8, 24, 20]]))]
    (80, 4, [80, 4])
    """

    side: int
    strides: tuple[int, ...] = (4, 8, 16)
    turned: bool = False

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.strides, self.strides[1:], strict=False))
        if not self.strides or not rising or any(self.side % stride for stride in self.strides):
            raise OptionError(
                f"The strides of the scales must rise and divide the side {self.side}, but they are {self.strides}."
            )

    @property
    def sides(self) -> list[int]:
        """Cells along the side of the image, on each scale."""
        return [self.side // stride for stride in self.strides]

    @property
    def count(self) -> int:
        """M."""
        return sum(side * side for side in self.sides)

    @property
    def numbers(self) -> int:
        """D: 4, or 6 with angles."""
        return 6 if self.turned else 4

    def middles(self) -> tuple[Tensor, Tensor]:
        """The middle of each cell (M, 2), x before y, and its side (M,), in pixels."""
        middles, sizes = [], []
        for side, stride in zip(self.sides, self.strides, strict=True):
            rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
            middles.append(stride * (torch.stack([columns, rows], dim=2).flatten(0, 1) + 0.5))
            sizes.append(torch.full((side * side,), float(stride)))
        return torch.cat(middles), torch.cat(sizes)

    def scale_of(self, boxes_N4: Tensor) -> Tensor:
        """The number of the scale of each box, (N,)."""
        sizes_N = (boxes_N4[:, 2:] - boxes_N4[:, :2]).prod(dim=1).sqrt()
        limits = torch.tensor([WIDEST * stride for stride in self.strides[:-1]])
        return (sizes_N[:, None] >= limits).sum(dim=1)

    def paint(self, boxes_N4: Tensor, angles_N: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Heat (M,) in [0, 1], and the numbers (D, M) of the box nearest to each cell; both are 0 far from all boxes.

        Raises:
            DataError: for boxes outside the image or without area.
        """
        check_boxes(boxes_N4, self.side, self.side)
        heat_M, values_DM = torch.zeros(self.count), torch.zeros(self.numbers, self.count)
        middles_M2, sizes_M = self.middles()
        owner_M = torch.cat([torch.full((side * side,), scale) for scale, side in enumerate(self.sides)])
        for number, (box, scale) in enumerate(zip(boxes_N4, self.scale_of(boxes_N4).tolist(), strict=True)):
            stride, centre = self.strides[scale], (box[:2] + box[2:]) / 2
            cell = ((centre / stride).floor().clamp_max(self.sides[scale] - 1) + 0.5) * stride
            far_M = ((middles_M2 - cell) / sizes_M[:, None]).square().sum(dim=1)
            own_M = torch.where((owner_M == scale) & (far_M <= _REACH**2), (-0.5 * far_M).exp(), 0.0)
            nearer_M = own_M > heat_M
            way_2M = (centre[:, None] - middles_M2.T) / stride
            size_2 = ((box[2:] - box[:2]) / (WIDEST * stride)).log()
            parts = [way_2M, size_2[:, None].expand(2, self.count)]
            if self.turned:
                assert angles_N is not None
                angle = angles_N[number]
                parts.append(torch.stack([angle.cos(), angle.sin()])[:, None].expand(2, self.count))
            values_DM = torch.where(nearer_M, torch.cat(parts), values_DM)
            heat_M = torch.maximum(heat_M, own_M)
        return heat_M, values_DM

    def boxes(self, values_BDM: Tensor) -> Tensor:
        """The box that each cell tells of, clipped to the image, (B, M, 4) in pixels."""
        middles_M2, sizes_M = (part.to(values_BDM) for part in self.middles())
        values_BM = values_BDM.transpose(1, 2)
        centres = middles_M2 + values_BM[..., :2] * sizes_M[:, None]
        halves = values_BM[..., 2:4].clamp(-6, 3).exp() * (WIDEST / 2 * sizes_M[:, None])
        return torch.cat([centres - halves, centres + halves], dim=2).clamp(0, self.side)

    def read(
        self, heat_BM: Tensor, values_BDM: Tensor, most: int = 50, least: float = 0.01, overlap: float = 0.5
    ) -> list[Found]:
        """The boxes at the peaks of the heat, without doubles: for each image at most so many.

        A peak is at least as hot as its eight neighbours on its scale, and as hot as `least`.

        Args:
            heat_BM, values_BDM: as `paint` writes them.
            most: boxes of an image.
            least: heat of a box.
            overlap: of two boxes with a larger intersection over union the less sure one is a double.
        """
        peaks_BM = torch.cat([self._peaks(part) for part in self.maps(heat_BM)], dim=1)
        boxes_BM4, found = self.boxes(values_BDM), []
        for heat_M, peak_M, boxes_M4, values_DM in zip(heat_BM, peaks_BM, boxes_BM4, values_BDM, strict=True):
            size_M2 = boxes_M4[:, 2:] - boxes_M4[:, :2]
            rows = (peak_M & (heat_M >= least) & (size_M2 > 0).all(dim=1)).nonzero()[:, 0]
            rows = rows[suppress(boxes_M4[rows], heat_M[rows], overlap)[:most]]
            angles = torch.atan2(values_DM[5, rows], values_DM[4, rows]) if self.turned else values_DM.new_zeros(0)
            found.append(Found(boxes_M4[rows], heat_M[rows], angles))
        return found

    def maps(self, heat_BM: Tensor) -> list[Tensor]:
        """Heat as an image of each scale, (B, side, side)."""
        parts = heat_BM.split([side * side for side in self.sides], dim=1)
        return [part.unflatten(1, (side, side)) for part, side in zip(parts, self.sides, strict=True)]

    def _peaks(self, heat: Tensor) -> Tensor:
        return (functional.max_pool2d(heat[:, None], 3, 1, 1)[:, 0] == heat).flatten(1)


def suppress(boxes_N4: Tensor, scores_N: Tensor, overlap: float = 0.5) -> Tensor:
    """Non-maximum suppression: rows of the boxes that are kept, the surest first, (K,).

    From the surest on, a box is kept unless its intersection over union with one that is kept is above `overlap`. Of
    equal scores the first comes first.

    >>> boxes = torch.tensor([[0.0, 0, 4, 4], [0.0, 0, 4, 3], [6.0, 6, 9, 9]])
    >>> suppress(boxes, torch.tensor([0.5, 0.9, 0.1]))
    tensor([1, 2])
    """
    order = scores_N.argsort(descending=True, stable=True)
    near = (overlaps(boxes_N4[order], boxes_N4[order]) > overlap).cpu().numpy()
    kept: list[int] = []
    for row in range(len(order)):
        if not near[row, kept].any():
            kept.append(row)
    return order[kept]


def sample_boxes(maps: Tensor, boxes: Sequence[Tensor], size: int, stride: float = 1.0, samples: int = 2) -> Tensor:
    """Maps (B, C, h, w) inside each box, on a grid of size × size bins: (ΣN, C, size, size), image by image.

    RoIAlign (He, Gkioxari, Dollár & Girshick, "Mask R-CNN", 2017, section 3): each bin is the mean of samples × samples
    points, evenly spaced in it, between which and the middles of the map's cells values are interpolated linearly; no
    edge is rounded. Beyond the outermost middles the value at the border holds.

    Args:
        boxes: of each image, (N, 4) in pixels.
        size: bins along a side.
        stride: pixels of the image per cell of the maps.
        samples: points along the side of a bin.

    >>> maps = torch.arange(4.0).expand(1, 1, 4, 4)
    >>> sample_boxes(maps, [torch.tensor([[0.0, 0, 4, 4]])], size=2)[0, 0]
    tensor([[0.5000, 2.5000],
            [0.5000, 2.5000]])
    """
    height, width = maps.shape[2:]
    steps = (torch.arange(size * samples, dtype=maps.dtype, device=maps.device) + 0.5) / (size * samples)
    scale = 2 / (stride * torch.tensor([width, height], dtype=maps.dtype, device=maps.device))
    parts = []
    for image, own_N4 in zip(maps, boxes, strict=True):
        low, high = own_N4[:, :2].to(maps), own_N4[:, 2:].to(maps)
        places = (low[:, None] + steps[:, None] * (high - low)[:, None]) * scale - 1
        x, y = places[..., 0], places[..., 1]
        grid = torch.stack([x[:, None].expand(-1, len(steps), -1), y[:, :, None].expand(-1, -1, len(steps))], dim=3)
        whole = image[None].expand(len(own_N4), -1, -1, -1)
        points = functional.grid_sample(whole, grid, mode="bilinear", padding_mode="border", align_corners=False)
        parts.append(functional.avg_pool2d(points, samples) if len(own_N4) else points[..., :size, :size])
    return torch.cat(parts)


def paste_masks(masks_NSS: Tensor, boxes_N4: Tensor, side: int) -> Tensor:
    """Masks of boxes, as values at the middles of S × S bins, put back into a square image, (N, side, side), 0 outside.

    The inverse of `sample_boxes`, to the accuracy of linear interpolation.

    >>> paste_masks(torch.ones(1, 2, 2), torch.tensor([[1.0, 0, 3, 4]]), side=4)[0, 0]
    tensor([0., 1., 1., 0.])
    """
    middles = torch.arange(side, dtype=boxes_N4.dtype, device=boxes_N4.device) + 0.5
    low, high = boxes_N4[:, :2, None], boxes_N4[:, 2:, None]
    places = (middles - low) / (high - low) * 2 - 1
    x, y = places[:, 0, None].expand(-1, side, -1), places[:, 1, :, None].expand(-1, -1, side)
    grid = torch.stack([x, y], dim=3)
    if not len(grid):
        return masks_NSS.new_zeros(0, side, side)
    values = functional.grid_sample(masks_NSS[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    return torch.where((grid.abs() < 1).all(dim=3), values, 0.0)
