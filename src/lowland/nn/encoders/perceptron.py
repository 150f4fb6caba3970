"""A perceptron as an encoder, for samples that are vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lowland.nn.layers import mlp
from lowland.registry import register


@register("encoder")
class Perceptron(nn.Module):
    """(B, *shape) → (B, F): fully connected layers with SiLU between them, of the flattened sample.

    Args:
        shape: of a sample.
        hidden: units of the hidden layers.
        size: F.
        generator: draws the weights.

    >>> Perceptron((8,), size=16)(torch.zeros(2, 8)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        hidden: tuple[int, ...] = (256, 256),
        size: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.size = tuple(shape), size
        self.layers = mlp(math.prod(shape), *hidden, size, generator=generator)

    def forward(self, sample: Tensor) -> Tensor:
        return self.layers(sample.flatten(1))
