"""A small convolutional network, the encoder of the recipes that run on a CPU."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from lowland.errors import OptionError
from lowland.nn.convolutional import convolution, stage_sizes
from lowland.registry import register


@register("encoder")
class ConvNet(nn.Module):
    """(B, C, H, W) → (B, F): stages of a 3 × 3 convolution with stride 2, batch normalisation and ReLU; then the mean.

    Args:
        shape: (C, H, W).
        maps: feature maps of each stage; the last is F.
        norm: whether there is batch normalisation.
        pooled: whether the mean over places is taken; otherwise all places follow one another, F h w numbers, which
            suits images that are aligned, such as faces.
        generator: draws the weights.

    Raises:
        OptionError: if nothing would be left of the image.

    >>> ConvNet((1, 28, 28)).size, ConvNet((1, 28, 28))(torch.zeros(2, 1, 28, 28)).shape
    (256, torch.Size([2, 256]))
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        maps: tuple[int, ...] = (32, 64, 128, 256),
        norm: bool = True,
        pooled: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not maps:
            raise OptionError("A ConvNet needs at least one stage: give its feature maps, such as (32, 64).")
        generator = generator or torch.Generator().manual_seed(0)
        stage_sizes((shape[1], shape[2]), len(maps))
        places = math.prod(-(-side // 2 ** len(maps)) for side in shape[1:])
        self.shape, self.pooled, self.size = tuple(shape), pooled, maps[-1] * (1 if pooled else places)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise((shape[0], *maps)):
            layers += [convolution(inputs, outputs, generator, stride=2)]
            layers += [nn.BatchNorm2d(outputs)] if norm else []
            layers += [nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        # A fifth less time for a training step on a CPU.
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  missing in the stubs

    def maps(self, image: Tensor) -> Tensor:
        """The feature maps before the mean, (B, F, h, w), with H and W halved by each stage, rounded up."""
        return self.layers(image.contiguous(memory_format=torch.channels_last))

    def stages(self, image: Tensor) -> list[Tensor]:
        """The maps after each stage, of an image of any size."""
        found, maps = [], image.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            maps = layer(maps)
            found += [maps] if isinstance(layer, nn.ReLU) else []
        return found

    def forward(self, image: Tensor) -> Tensor:
        maps = self.maps(image)
        return maps.mean(dim=(2, 3)) if self.pooled else maps.flatten(1)
