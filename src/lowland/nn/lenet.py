"""LeNet-5 (system V3), layer by layer as it was published, and with rectifiers and max pooling."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from lowland.errors import OptionError, ShapeError
from lowland.nn.connections import RadialBasis, TableConvolution
from lowland.nn.convolutional import convolution
from lowland.nn.layers import linear
from lowland.nn.pooling import Subsampling
from lowland.nn.stage import ScaledTanh

SIDE = 32
"""Pixels of a side of the images that LeNet-5 takes."""
TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""Table I of the paper: which of the 6 maps of S2 each of the 16 maps of C3 sees."""
_DIGITS = """
.#####.  ...##..  .#####.  .#####.  ....##.  #######  ..####.  #######  .#####.  .#####.
##...##  ..###..  ##...##  ##...##  ...###.  ##.....  .##....  .....##  ##...##  ##...##
##...##  .####..  .....##  .....##  ..####.  ##.....  ##.....  .....##  ##...##  ##...##
##...##  ...##..  .....##  .....##  .##.##.  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  ....##.  ....##.  ##..##.  ######.  ######.  ....##.  .#####.  ##...##
##...##  ...##..  ...##..  ..####.  ##..##.  ##...##  ##...##  ...##..  ##...##  .######
##...##  ...##..  ..##...  .....##  #######  .....##  ##...##  ...##..  ##...##  .....##
##...##  ...##..  .##....  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##
##...##  ...##..  ##.....  ##...##  ....##.  ##...##  ##...##  ..##...  ##...##  ....##.
.#####.  .######  #######  .#####.  ....##.  .#####.  .#####.  ..##...  .#####.  .####..
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""
L = TypeVar("L", bound=nn.Module)


def digit_bitmaps() -> Tensor:
    """The ten digits as bitmaps of 12 × 7 pixels, 1 for ink and −1 for paper, (10, 84).

    They are drawn for Lowland in the style of the paper's figure 3, not copied from it pixel by pixel.

    >>> digit_bitmaps().shape, digit_bitmaps().unique().tolist()
    (torch.Size([10, 84]), [-1.0, 1.0])
    """
    rows = [line.split() for line in _DIGITS.strip().splitlines()]
    return torch.tensor([[2.0 * (dot == "#") - 1 for row in rows for dot in row[digit]] for digit in range(10)])


class LeNet5(nn.Module):
    """Images (B, 1, 32, 32) → (B, 10): squared distances to the bitmaps of the digits, or one output for each class.

    | layer | maps | what it does |
    |---|---|---|
    | C1 | 6 of 28 × 28 | convolution, 5 × 5 |
    | S2 | 6 of 14 × 14 | sub-sampling: sum of 2 × 2, times a trained coefficient, plus a trained bias |
    | C3 | 16 of 10 × 10 | convolution, 5 × 5, of some maps only, by `TABLE` |
    | S4 | 16 of 5 × 5 | sub-sampling |
    | C5 | 120 of 1 × 1 | convolution, 5 × 5 |
    | F6 | 84 | fully connected |
    | output | 10 | ‖F6 − w_k‖², w_k the bitmap of digit k |

    C1 to F6 end in f(a) = 1.7159 tanh(2a/3). There are 60,000 weights and 340,908 connections. Those of a unit with n
    inputs are drawn uniformly from ± 2.4 / n. Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied
    to document recognition" (1998), section II B and appendix A.

    Args:
        output: "rbf" for squared distances (small is good), "linear" for a linear layer (large is good), which adds 850
            weights.
        modern: rectifiers and max pooling in place of squashing and sub-sampling, and weights from ± 1 / √n. With "rbf"
            F6 is squashed still, for the bitmaps have negative pixels.
        generator: draws the weights; by default one with seed 0.

    Raises:
        OptionError: for another output.
        ShapeError: when called with images of another shape.

    >>> from lowland.nn.connections import count_connections
    >>> net = LeNet5()
    >>> sum(weights.numel() for weights in net.parameters()), count_connections(net, (1, 32, 32))
    (60000, 340908)
    """

    def __init__(
        self,
        output: Literal["rbf", "linear"] = "rbf",
        modern: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if output not in ("rbf", "linear"):
            raise OptionError(f"The output of LeNet-5 is 'rbf' or 'linear', but it is {output!r}.")
        generator = generator or torch.Generator().manual_seed(0)

        def bound(inputs: int) -> float:
            return 1 / math.sqrt(inputs) if modern else 2.4 / inputs

        def filters(inputs: int, outputs: int) -> nn.Module:
            layer = convolution(inputs, outputs, generator, kernel=5, padding=0)
            return _uniform(layer, bound(25 * inputs), generator)

        def full(inputs: int, outputs: int) -> nn.Module:
            return _uniform(linear(inputs, outputs, generator), bound(inputs), generator)

        def stage(*layers: nn.Module, squashed: bool = not modern) -> nn.Sequential:
            return nn.Sequential(*layers, ScaledTanh() if squashed else nn.ReLU())

        def pooled(maps: int) -> nn.Module:
            return nn.MaxPool2d(2) if modern else stage(Subsampling(maps, generator=generator))

        rbf = output == "rbf"
        self.stages = nn.Sequential(
            OrderedDict(
                C1=stage(filters(1, 6)),
                S2=pooled(6),
                C3=stage(TableConvolution(TABLE, 6, bound=bound, generator=generator)),
                S4=pooled(16),
                C5=stage(filters(16, 120)),
                F6=stage(nn.Flatten(), full(120, 84), squashed=rbf or not modern),
                output=RadialBasis(digit_bitmaps()) if rbf else full(84, 10),
            )
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, 10)."""
        return self.maps(image)["output"]

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """What each layer makes of the images, by its name."""
        if tuple(image.shape[1:]) != (1, SIDE, SIDE):
            raise ShapeError(f"LeNet-5 takes images (B, 1, {SIDE}, {SIDE}), but these are {tuple(image.shape)}.")
        found, value = {}, image
        for name, layer in self.stages.named_children():
            value = found[name] = layer(value)
        return found


@torch.no_grad()
def _uniform(layer: L, bound: float, generator: torch.Generator) -> L:
    for parameter in layer.parameters():
        parameter.uniform_(-bound, bound, generator=generator)
    return layer
