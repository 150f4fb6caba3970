"""Damaged images, from which the originals are to be restored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.views.options import check_samples
from lowland.errors import OptionError, ShapeError
from lowland.tensors import PerSampleRNG

_GREY = 0.5


@dataclass(frozen=True)
class Damage:
    """Images (B, C, H, W) in [0, 1] at a lower resolution, and with a random fraction of square patches made grey.

    For the pretext tasks of `Restoration`. For a hole or grey images use `ImageViews` with mask=1 or grey=1, and
    without crop, flip and colour.

    Args:
        hidden: fraction of the patches made grey (0.5), the same for every image; 0.75 as in MAE (He et al. 2022).
        patch: side of a patch, in pixels.
        shrink: side of the squares that are averaged before the image is resized back by bilinear interpolation; 1 for
            full resolution.

    Raises:
        OptionError: for a fraction outside [0, 1), or sides below 1.
        ShapeError: when called with images whose sides are not multiples of the patches or squares.

    >>> Damage(hidden=0.75)(torch.ones(2, 3, 8, 8), PerSampleRNG(0, torch.arange(2))).mean()
    tensor(0.6250)
    """

    hidden: float = 0.0
    patch: int = 4
    shrink: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.hidden < 1 or self.patch < 1 or self.shrink < 1:
            raise OptionError(
                f"hidden must be a share in [0, 1), and patch and shrink at least 1, not {self.hidden}, {self.patch} "
                f"and {self.shrink}."
            )

    @torch.no_grad()
    def __call__(self, samples: Tensor, noise: PerSampleRNG) -> Tensor:
        check_samples(samples, noise, "(B, C, H, W)")
        height, width = samples.shape[2:]
        for side in (self.patch if self.hidden else 1, self.shrink):
            if height % side or width % side:
                raise ShapeError(f"Squares of {side} pixels do not tile images of {height} × {width}.")
        if self.shrink > 1:
            small = functional.avg_pool2d(samples, self.shrink)
            samples = functional.interpolate(small, (height, width), mode="bilinear", align_corners=False)
        if not self.hidden:
            return samples
        rows, columns = height // self.patch, width // self.patch
        count = round(self.hidden * rows * columns)
        order = noise.uniform(rows * columns).argsort(dim=1)
        gone = torch.zeros_like(order, dtype=torch.bool).scatter(1, order[:, :count], True)
        gone = gone.unflatten(1, (1, rows, columns))
        gone = gone.repeat_interleave(self.patch, dim=2).repeat_interleave(self.patch, dim=3)
        return samples.masked_fill(gone, _GREY)
