"""A feature pyramid: maps of an image at several scales, each of which has seen the coarser ones."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.convolutional import convolution
from lowland.nn.residual import Residual, normed


class FeaturePyramid(nn.Module):
    """(B, C, H, W) → maps (B, F, H / s, W / s) at strides s = 4, 8, …, from the finest.

    A residual block for each scale halves the maps on the way up; on the way down the maps of a coarser scale, doubled,
    are added to a 1 × 1 convolution of the finer ones, and smoothed by a 3 × 3 one. Source: Lin, Dollár, Girshick, He,
    Hariharan & Belongie, "Feature pyramid networks for object detection" (2017), section 3.

    Args:
        channels: C.
        widths: maps of the stem, which has stride 2, and of each scale on the way up.
        features: F.
        generator: draws the weights.

    Raises:
        OptionError: for no scale.

    >>> [tuple(maps.shape) for maps in FeaturePyramid(3, (4, 8, 8), 6).eval()(torch.zeros(1, 3, 32, 32))]
    [(1, 6, 8, 8), (1, 6, 4, 4)]
    """

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        features: int = 48,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(widths) < 2:
            raise OptionError(f"A pyramid needs the maps of its stem and of one scale at least, not {widths}.")
        generator = generator or torch.Generator().manual_seed(0)
        self.stem = normed(channels, widths[0], 3, 2, generator)
        pairs = itertools.pairwise(widths)
        self.up = nn.ModuleList([Residual(inputs, outputs, 2, generator) for inputs, outputs in pairs])
        self.across = nn.ModuleList([normed(width, features, 1, 1, generator) for width in widths[1:]])
        self.smooth = nn.ModuleList([normed(features, features, 3, 1, generator) for _ in widths[1:]])
        self.features = features

    def forward(self, image: Tensor) -> list[Tensor]:
        maps, found = self.stem(image).relu_(), []
        for block in self.up:
            maps = block(maps)
            found.append(maps)
        above: Tensor | None = None
        made = []
        for across, smooth, own in zip(
            reversed(self.across), reversed(self.smooth), reversed(found), strict=True
        ):  # fmt: skip
            merged = across(own)
            if above is not None:
                merged = merged + functional.interpolate(above, scale_factor=2.0, mode="nearest")
            above = merged
            made.append(smooth(merged.relu()).relu())
        return made[::-1]


class CellHead(nn.Module):
    """Numbers of each cell from maps at several scales, with the same weights at each: list of maps → (B, D, M).

    A 3 × 3 convolution with ReLU, and a 1 × 1 one. Source: Lin, Goyal, Girshick, He & Dollár, "Focal loss for dense
    object detection" (2017), section 4, for sharing a head between the scales of a pyramid.

    Args:
        features: maps.
        numbers: D.
        start: what the biases of the D numbers begin with.
        generator: draws the weights.

    >>> CellHead(6, 1, (-2.0,)).eval()([torch.zeros(1, 6, 8, 8), torch.zeros(1, 6, 4, 4)]).shape
    torch.Size([1, 1, 80])
    """

    def __init__(
        self, features: int, numbers: int, start: tuple[float, ...], generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.hidden = normed(features, features, 3, 1, generator)
        self.last = convolution(features, numbers, generator, kernel=1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            assert self.last.bias is not None
            self.last.bias.copy_(torch.tensor(start))

    def forward(self, maps: list[Tensor]) -> Tensor:
        return torch.cat([self.last(self.hidden(one).relu()).flatten(2) for one in maps], dim=2)
