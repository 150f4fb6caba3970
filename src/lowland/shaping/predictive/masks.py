"""Which patches of an image are hidden. Shape letters: B images, N patches of an image, M of them hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG


class Mask(NamedTuple):
    """Indices of the visible patches, (B, N − M) int64, and of the hidden ones, (B, M) int64."""

    shown: Tensor
    hidden: Tensor

    def z(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """(B, N), 1 where a patch is hidden."""
        count = self.shown.shape[1] + self.hidden.shape[1]
        empty = torch.zeros(self.hidden.shape[0], count, dtype=dtype, device=self.hidden.device)
        return empty.scatter(1, self.hidden, 1)


@dataclass(frozen=True)
class PatchMasks:
    """Hide a fixed fraction of the patches, chosen at random: scattered, or in rectangles.

    Rectangles are placed anywhere, each with an area in `scale` and an aspect ratio (height over width) in `ratio`.
    Patches covered by the most rectangles are hidden first, and ties are broken at random until the fraction is
    reached, so every image has the same number of hidden patches. Four rectangles of 15 to 20 % cover about half of an
    image. Sources: He et al. 2022, section 3, for scattered patches (75 %); Assran et al. 2023, section 3, for
    rectangles (there the union is hidden, and images are trimmed to the smallest number of visible patches in the
    batch).

    Args:
        share: M / N, in (0, 1).
        blocks: number of rectangles; 0 for scattered patches.
        scale: area of a rectangle relative to the image, uniform between the two ends.
        ratio: height over width, log-uniform between the two ends.

    Raises:
        OptionError: for a fraction, a number or a range that is not possible.

    >>> drawn = PatchMasks()(PerSampleRNG(0, torch.arange(3)), (8, 8))
    >>> drawn.shown.shape, drawn.hidden.shape
    (torch.Size([3, 32]), torch.Size([3, 32]))
    """

    share: float = 0.5
    blocks: int = 4
    scale: tuple[float, float] = (0.15, 0.2)
    ratio: tuple[float, float] = (0.75, 1.5)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.blocks < 0:
            raise OptionError(
                f"share must be between 0 and 1, and blocks at least 0, but they are {self.share} and {self.blocks}."
            )
        if not 0 < self.scale[0] <= self.scale[1] <= 1 or not 0 < self.ratio[0] <= self.ratio[1]:
            raise OptionError(
                f"scale must be two shares in order and ratio two positive numbers in order, not {self.scale} and "
                f"{self.ratio}."
            )

    @classmethod
    def scattered(cls, share: float = 0.75) -> PatchMasks:
        """The masks of MAE."""
        return cls(share, blocks=0)

    def __call__(self, noise: PerSampleRNG, grid: tuple[int, int]) -> Mask:
        """The hidden and the visible patches of images with a grid of (h, w) patches.

        Raises:
            OptionError: for a grid of which the fraction is no patch or all of them.
        """
        rows, columns = grid
        count = round(self.share * rows * columns)
        if not 0 < count < rows * columns:
            raise OptionError(f"A share of {self.share} of {rows} × {columns} patches is none or all of them.")
        score = noise.uniform(rows, columns)
        if self.blocks:
            score = score + self._covered(noise, rows, columns)
        order = score.flatten(1).argsort(dim=1, descending=True)
        return Mask(order[:, count:], order[:, :count])

    def _covered(self, noise: PerSampleRNG, rows: int, columns: int) -> Tensor:
        """The number of rectangles that cover each patch, (B, h, w)."""
        area, form, top, left = noise.uniform(4, self.blocks).unbind(dim=1)
        area = (self.scale[0] + (self.scale[1] - self.scale[0]) * area) * (rows * columns)
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        form = torch.exp(low + (high - low) * form)
        inside = [
            _along(side, place, length)
            for side, place, length in (((area * form).sqrt(), top, rows), ((area / form).sqrt(), left, columns))
        ]
        return (inside[0][:, :, :, None] & inside[1][:, :, None, :]).sum(dim=1)


def _along(side: Tensor, place: Tensor, length: int) -> Tensor:
    """Which of the cells 0 … length − 1 an interval of `side` cells at `place` in [0, 1] covers, (B, blocks, …)."""
    side = side.round().clamp(1, length)
    first = (place * (length - side + 1)).floor()[:, :, None]
    cell = torch.arange(length, device=side.device)
    return (cell >= first) & (cell < first + side[:, :, None])
