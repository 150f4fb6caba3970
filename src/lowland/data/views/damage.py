"""Damaged images, from which the originals are to be restored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.views.images import ImageViews
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


def pretext_tasks(shape: tuple[int, int, int]) -> dict[str, tuple[str, ImageViews | Damage]]:
    """Four ways to damage images that an encoder learns from restoring: by name, what is left in words, and the damage.

    Three patches in four masked (He et al. 2022), a hole (Pathak et al. 2016), grey in place of colours (Zhang, Isola &
    Efros 2016), and a quarter of the size.

    Args:
        shape: (C, H, W) of an image; those of one channel have no colours to restore.

    >>> list(pretext_tasks((1, 8, 8)))
    ['masked patches', 'inpainting', 'super-resolution']
    """
    still = {"crop": (1, 1), "flip": 0, "colour": 0}
    tasks: dict[str, tuple[str, ImageViews | Damage]] = {
        "masked patches": ("three patches in four masked", Damage(hidden=0.75, patch=shape[1] // 8)),
        "inpainting": ("a hole", ImageViews(**still, grey=0, mask=1, masked=(0.25, 0.4))),
        "colourisation": ("grey", ImageViews(**still, grey=1)),
        "super-resolution": ("a quarter of the size", Damage(shrink=4)),
    }
    return {name: task for name, task in tasks.items() if shape[0] > 1 or name != "colourisation"}
