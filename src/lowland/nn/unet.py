"""The U-Net: feature maps on several scales, each joined to the same scale on the way back up."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.convolutional import activation, convolution


class UNet(nn.Module):
    """(B, C, H, W) → (B, C, H, W): U(x) = x + what two convolutions on each scale, down and up again, add to it.

    On the way down each scale has half the rows and columns of the one before; on the way up its maps are joined to
    those of the same scale on the way down (Ronneberger, Fischer & Brox 2015). For reconstruction, Zbontar et al. 2018,
    "fastMRI". The last layer starts at 0, so that U is first the identity. Sides that cannot be halved so often are
    filled up with zeros, and cut again.

    Args:
        channels: C.
        maps: feature maps of each scale, the finest first.
        generator: draws the weights; by default one with seed 0.

    Raises:
        OptionError: for no scale, or one without maps.

    >>> image = torch.rand(2, 2, 21, 18)
    >>> torch.equal(UNet(2, maps=(4, 8))(image), image)
    True
    """

    def __init__(
        self, channels: int, maps: tuple[int, ...] = (16, 32, 64), generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if not maps or min(maps) < 1:
            raise OptionError(f"A U-Net needs at least one scale, with a map or more each, but maps is {maps}.")
        generator = generator or torch.Generator().manual_seed(0)
        self.maps = tuple(maps)
        self.down = nn.ModuleList(_pair(*sizes, generator) for sizes in itertools.pairwise((channels, *maps)))
        self.up = nn.ModuleList(_pair(low + high, high, generator) for high, low in itertools.pairwise(maps))
        self.last = convolution(maps[0], channels, generator, kernel=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        step = 2 ** len(self.up)
        found = functional.pad(image, (0, -width % step, 0, -height % step))
        seen = []
        for scale, block in enumerate(self.down):
            found = block(functional.avg_pool2d(found, 2) if scale else found)
            seen.append(found)
        for scale in reversed(range(len(self.up))):
            found = self.up[scale](torch.cat([functional.interpolate(found, scale_factor=2), seen[scale]], dim=1))
        return image + self.last(found)[:, :, :height, :width]


def _pair(inputs: int, outputs: int, generator: torch.Generator) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, outputs, generator), activation(), convolution(outputs, outputs, generator), activation()
    )
