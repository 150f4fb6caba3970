"""The ConvNet of long-range robot vision: a band of a picture to features of each window (system V9)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.nn.convolutional import convolution

FEATURES = 100


class BandNet(nn.Module):
    """(B, 3, H, W) → (B, 100, H − 11, w): 20 filters of 7 × 6, the largest of 1 × 4, 100 filters of 6 × 5, each tanh.

    A window of 12 × 25 gives one vector of 100 features, so that a band gives those of all its windows, 1 row and 4
    columns apart. Source: Hadsell, Sermanet, Ben, Erkan, Scoffier, Kavukcuoglu, Muller & LeCun, "Learning long-range
    vision for autonomous off-road driving" (2009): 3@36×484 → 20@30×484 → 20@30×125 → 100@25×121.

    These sizes do not follow from the filters alone, which would make 484 columns 479, 119 and 115. They do if the
    first layer keeps the columns and the second gets two more columns at each side: 484 → 484 → 121 + 4 = 125 → 121.
    That is `padded`. The papers do not say so; it is the reading under which all numbers fit.

    Args:
        padded: whether borders are filled with zeros as above; without it each feature sees 12 × 25 pixels of the band.
        generator: draws the weights.

    >>> sum(weights.numel() for weights in BandNet().parameters())
    62640
    >>> [tuple(maps.shape[1:]) for maps in BandNet(padded=True).stages(torch.zeros(1, 3, 36, 484))]
    [(20, 30, 484), (20, 30, 125), (100, 25, 121)]
    """

    def __init__(self, padded: bool = False, generator: torch.Generator | None = None) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.padded = padded
        self.first = convolution(3, 20, generator, kernel=(7, 6), padding=0)
        self.second = convolution(20, FEATURES, generator, kernel=(6, 5), padding=0)

    def stages(self, bands: Tensor) -> list[Tensor]:
        """The maps after the first filters, those that the second ones see, and the features."""
        first = torch.tanh(self.first(functional.pad(bands, (2, 3, 0, 0)) if self.padded else bands))
        pooled = functional.max_pool2d(first, (1, 4))
        pooled = functional.pad(pooled, (2, 2, 0, 0)) if self.padded else pooled
        return [first, pooled, torch.tanh(self.second(pooled))]

    def forward(self, bands: Tensor) -> Tensor:
        return self.stages(bands)[-1]
