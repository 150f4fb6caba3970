"""Overlapping windows of an image, and their average as an image.

Shape letters: C channels, H × W pixels, N windows of S × S pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import ShapeError


class Windows:
    """Square windows on a regular grid that cover every pixel of an image.

    Args:
        height, width: of the image.
        size: S.
        step: pixels from one window to the next; the last row and column are always included.
        shift: (down, right) of the second row and column of windows, less than `step`.

    Raises:
        ShapeError: if the image is smaller than a window.

    >>> image = torch.rand(1, 9, 7)
    >>> windows = Windows(9, 7, size=4, step=2)
    >>> torch.allclose(windows.merge(windows.cut(image)), image)
    True
    """

    def __init__(self, height: int, width: int, size: int, step: int = 1, shift: tuple[int, int] = (0, 0)) -> None:
        if min(height, width) < size:
            raise ShapeError(f"A picture of {height} × {width} pixels has no windows of {size} × {size}.")
        if size < 1 or step < 1 or step > size:
            raise ShapeError(f"Windows need a step from 1 to their size, not a step of {step} and a size of {size}.")
        self.shape, self.size = (height, width), size
        self.rows, self.columns = (
            torch.tensor(sorted({0, length - size, *range(first, length - size + 1, step)}))
            for length, first in zip(self.shape, shift, strict=True)
        )

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def cut(self, image: Tensor) -> Tensor:
        """(C, H, W) → (N, C · S²)."""
        every = image.unfold(1, self.size, 1).unfold(2, self.size, 1)
        chosen = every[:, self.rows[:, None], self.columns]
        return chosen.permute(1, 2, 0, 3, 4).reshape(len(self), -1)

    def merge(self, windows: Tensor, weights: Tensor | None = None) -> Tensor:
        """(N, C · S²) → (C, H, W): the mean, or the mean weighted by (N,), of all windows over each pixel."""
        channels = windows.shape[1] // self.size**2
        rows, columns = len(self.rows), len(self.columns)
        total = windows.new_zeros(channels, *self.shape)
        count = windows.new_zeros(self.shape)
        weights = torch.ones_like(windows[:, 0]) if weights is None else weights
        tiles = (windows * weights[:, None]).reshape(rows, columns, channels, self.size, self.size)
        share = weights.reshape(rows, columns)
        for down in range(self.size):
            for right in range(self.size):
                place = (self.rows[:, None] + down, self.columns + right)
                total[:, place[0], place[1]] += tiles[..., down, right].permute(2, 0, 1)
                count[place] += share
        return total / count
