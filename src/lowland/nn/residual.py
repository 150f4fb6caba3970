"""Residual blocks of images (He et al. 2016), and the normalised convolution that they are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """(B, inputs, H, W) → (B, outputs, H / stride, W / stride): y = relu(x + f(x)), f two 3 × 3 convolutions.

    He et al. 2016, figure 2 and section 3.3: batch normalisation after each convolution, ReLU between them, and a 1 × 1
    convolution of x where the shapes differ (option B).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.first = normed(inputs, outputs, 3, stride, generator)
        self.second = normed(outputs, outputs, 3, 1, generator)
        same = stride == 1 and inputs == outputs
        self.across = nn.Identity() if same else normed(inputs, outputs, 1, stride, generator)

    def forward(self, image: Tensor) -> Tensor:
        change = self.second(self.first(image).relu_())
        return change.add_(self.across(image)).relu_()


class Bottleneck(nn.Module):
    """(B, inputs, H, W) → (B, outputs, H / stride, W / stride): y = relu(x + f(x)), f of 1 × 1, 3 × 3, 1 × 1 filters.

    He et al. 2016, figure 5, right: the first two convolutions have a quarter of the output's maps, and the first one
    has the stride.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.first = normed(inputs, outputs // 4, 1, stride, generator)
        self.second = normed(outputs // 4, outputs // 4, 3, 1, generator)
        self.third = normed(outputs // 4, outputs, 1, 1, generator)
        same = stride == 1 and inputs == outputs
        self.across = nn.Identity() if same else normed(inputs, outputs, 1, stride, generator)

    def forward(self, image: Tensor) -> Tensor:
        change = self.third(self.second(self.first(image).relu_()).relu_())
        return change.add_(self.across(image)).relu_()


def normed(inputs: int, outputs: int, kernel: int, stride: int, generator: torch.Generator | None) -> nn.Sequential:
    """A convolution and batch normalisation, which makes a bias of the convolution superfluous.

    Args:
        generator: draws the weights as He et al. 2015, equation 14, has it; None leaves the layers on the meta device,
            without values.
    """
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False, device="meta")
    if generator is None:
        return nn.Sequential(layer, nn.BatchNorm2d(outputs, device="meta"))
    layer.to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.normal_(0, math.sqrt(2 / (outputs * kernel**2)), generator=generator)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))
