"""The jigsaw view: the patches of an image in a random order."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.views.images import ImageViews
from lowland.data.views.options import check_samples
from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG


def _patch_views() -> ImageViews:
    return ImageViews(crop=(0.5, 0.9), ratio=(1, 1), flip=0)


@dataclass(frozen=True)
class Jigsaw:
    """Images (B, C, H, W) cut into a grid of patches, which are augmented separately and reassembled in random order.

    The pretext transformation of Misra & van der Maaten 2020 (PIRL, section 3.1; after Noroozi & Favaro 2016), where 9
    patches are encoded separately and their representations concatenated; here they form an image again, for any
    encoder. A side that is not divisible by the grid is enlarged before and shrunk afterwards.

    Args:
        grid: patches along each side.
        patch: augments each patch; by default a crop to 50 to 90 % of its area, and colour. PIRL crops 64 of 85 pixels
            per side, which is 57 %.

    Raises:
        OptionError: for a grid below 2, or a `patch` that changes the size.
        ShapeError: see `ImageViews`.

    >>> views = Jigsaw(grid=2, patch=ImageViews.none())
    >>> views(torch.arange(4.0).reshape(1, 1, 2, 2), PerSampleRNG(0, torch.arange(1))).flatten()
    tensor([2., 1., 0., 3.])
    """

    grid: int = 3
    patch: ImageViews = field(default_factory=_patch_views)

    def __post_init__(self) -> None:
        if self.grid < 2:
            raise OptionError(f"A jigsaw has at least 2 patches along a side, but grid is {self.grid}.")
        if self.patch.size is not None:
            raise OptionError("The patches of a jigsaw keep their size: leave `size` of `patch` out.")

    @torch.no_grad()
    def __call__(self, samples: Tensor, noise: PerSampleRNG) -> Tensor:
        check_samples(samples, noise, "(B, C, H, W)")
        grid, (count, channels, height, width) = self.grid, samples.shape
        tall, wide = -(-height // grid), -(-width // grid)
        divided = _resize(samples, grid * tall, grid * wide)
        patches = divided.reshape(count, channels, grid, tall, grid, wide).permute(0, 2, 4, 1, 3, 5)
        patches = patches.reshape(count, grid * grid, channels, tall, wide)
        order = noise.uniform(grid * grid).argsort(dim=1)
        patches = patches.gather(1, order[:, :, None, None, None].expand_as(patches)).flatten(0, 1)
        sample_ids = noise.sample_ids[:, None] * grid**2 + torch.arange(grid**2, device=order.device)
        patches = self.patch(patches, PerSampleRNG(noise.spawn(), sample_ids.flatten(), noise.dtype))
        patches = patches.reshape(count, grid, grid, channels, tall, wide).permute(0, 3, 1, 4, 2, 5)
        return _resize(patches.reshape(count, channels, grid * tall, grid * wide), height, width)


def _resize(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[2:] == (height, width):
        return image
    return functional.interpolate(image, (height, width), mode="bilinear", antialias=True, align_corners=False)
