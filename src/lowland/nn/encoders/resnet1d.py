"""A residual network for series: sensor channels over time."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from lowland.registry import register

KERNELS = (7, 5, 3)


class Residual1d(nn.Module):
    """(B, inputs, T) → (B, outputs, T): y = relu(x + f(x)), f three convolutions of 7, 5 and 3 steps."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, kernel in enumerate(KERNELS):
            layers += [nn.ReLU()] if number else []
            layers += _normed(outputs if number else inputs, outputs, kernel, generator)
        self.change = nn.Sequential(*layers)
        self.across = nn.Sequential(*_normed(inputs, outputs, 1, generator))

    def forward(self, series: Tensor) -> Tensor:
        return torch.relu(self.change(series) + self.across(series))


@register("encoder")
class ResNet1d(nn.Module):
    """(B, C, T) → (B, F): residual blocks of three convolutions along time, then the mean over time.

    The ResNet of Wang, Yan & Oates 2017, "Time series classification from scratch", section II.C, with kernels of 7
    steps in place of 8, which has no middle. Any T will do, also another one than it was made for.

    Args:
        shape: (C, T).
        maps: feature maps of each block, (64, 128, 128) in the paper; the last is F.
        generator: draws the weights.

    >>> ResNet1d((3, 100)).size, ResNet1d((3, 100))(torch.zeros(2, 3, 100)).shape
    (128, torch.Size([2, 128]))
    """

    def __init__(
        self,
        shape: tuple[int, int],
        maps: tuple[int, ...] = (64, 128, 128),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.shape, self.size = tuple(shape), (shape[0], *maps)[-1]
        pairs = itertools.pairwise((shape[0], *maps))
        self.blocks = nn.Sequential(*(Residual1d(inputs, outputs, generator) for inputs, outputs in pairs))

    def forward(self, series: Tensor) -> Tensor:
        return self.blocks(series).mean(dim=2)


def _normed(inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> list[nn.Module]:
    layer = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=False, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.normal_(0, math.sqrt(2 / (inputs * kernel)), generator=generator)
    return [layer, nn.BatchNorm1d(outputs)]
