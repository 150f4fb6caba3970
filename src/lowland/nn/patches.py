"""The first layer of an encoder of images: patches that do not overlap."""

from __future__ import annotations

from torch import Generator, nn

from lowland.nn.convolutional import convolution

PATCH = 4
"""Pixels of a side of a patch."""


def patches(shape: tuple[int, int, int], maps: int, generator: Generator) -> nn.Sequential:
    """Images (B, C, H, W) → (B, maps, ⌈H / 4⌉, ⌈W / 4⌉), a linear map of patches of 4 × 4 pixels.

    As in a vision transformer (Dosovitskiy et al. 2021): convolutions at full size would take most of the time. Images
    whose sides are not multiples of 4 get rows and columns of zeros.

    >>> import torch
    >>> patches((2, 30, 32), 8, torch.Generator())(torch.zeros(1, 2, 30, 32)).shape
    torch.Size([1, 8, 8, 8])
    """
    channels, height, width = shape
    pad = nn.ZeroPad2d((0, -width % PATCH, 0, -height % PATCH))
    return nn.Sequential(pad, convolution(channels, maps, generator, PATCH, PATCH, padding=0))
