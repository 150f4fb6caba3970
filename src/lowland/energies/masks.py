"""Which pixels of a box belong to the thing in it (system V11)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.energies.base import ReferenceCase
from lowland.energies.bits import Bits
from lowland.nn.convolutional import convolution
from lowland.registry import register


@register("energy")
class Masks(Bits):
    """E(x, y) = −Σ over the pixels p of a box of y_p f_p(x): x the maps inside the box, y its mask of zeros and ones.

    f is a small ConvNet. Pixels are independent given x, so log Z(x) = Σ_p log(1 + exp f_p(x)), the least energy is
    that of the mask [f > 0], and `MaximumLikelihood` is the cross-entropy of each pixel. Source: He, Gkioxari, Dollár &
    Girshick, "Mask R-CNN" (2017), section 3, for a mask in each box from maps sampled inside it, see `sample_boxes`.

    Args:
        maps: C of x.
        size: S, the mask has S × S pixels.
        width: maps of the two hidden layers.
        generator: draws the weights.

    >>> energy = Masks(maps=2, size=4, width=3)
    >>> energy(x=torch.zeros(5, 2, 4, 4), y=torch.ones(5, 4, 4)).shape
    torch.Size([5])
    """

    def __init__(self, maps: int, size: int = 28, width: int = 32, generator: torch.Generator | None = None) -> None:
        generator = generator or torch.Generator().manual_seed(0)
        network = nn.Sequential(
            convolution(maps, width, generator), nn.ReLU(),
            convolution(width, width, generator), nn.ReLU(),
            convolution(width, 1, generator, kernel=1),
        )  # fmt: skip
        super().__init__(network, (maps, size, size), (size, size))

    def encode(self, x: Tensor) -> Tensor:
        """f(x), (B, S, S)."""
        return self.network(x)[:, 0]

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Where f is the first map minus 1, the mask is where that map is above 1."""
        energy = cls(maps=1, size=2, width=1)
        network: Any = energy.network
        with torch.no_grad():
            for layer in (network[0], network[2]):
                layer.weight.zero_()
                layer.weight[0, 0, 1, 1] = 1.0
                layer.bias.zero_()
            network[4].weight.fill_(1.0)
            network[4].bias.fill_(-1.0)
        x = torch.tensor([[[[3.0, 0.25], [0.5, 2.0]]]])
        return ReferenceCase(energy, {"x": x}, "y", torch.tensor([-3.0]), torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
