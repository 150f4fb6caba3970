"""The ConvNets of object recognition (system V10) as tables of layers, and one function that builds them.

Each is the net of its paper, with filters, strides and groups as published, and gives one output for each class.
Dropout, which training adds, is left out: it has no weights.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from lowland.errors import OptionError, nearest
from lowland.nn.residual import Bottleneck, Residual, normed


class Filters(NamedTuple):
    """A convolution with bias, and ReLU."""

    maps: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1


class Normed(NamedTuple):
    """A convolution without bias, batch normalisation, and ReLU."""

    maps: int
    kernel: int
    stride: int


class Blocks(NamedTuple):
    """Residual blocks, of which the first has the stride."""

    kind: type[Residual] | type[Bottleneck]
    maps: int
    blocks: int
    stride: int


class Mixed(NamedTuple):
    """An Inception module: maps of 1 × 1; reduced, then 3 × 3; reduced, then 5 × 5; pooled, then 1 × 1."""

    one: int
    reduced_three: int
    three: int
    reduced_five: int
    five: int
    pooled: int


class Largest(NamedTuple):
    """Max pooling."""

    kernel: int
    stride: int
    padding: int = 0


class Across(NamedTuple):
    """Local response normalisation, with the sizes of Krizhevsky et al. 2012, section 3.3."""

    neighbours: int = 5


class Mean(NamedTuple):
    """The mean of each map."""


class Full(NamedTuple):
    """A fully connected layer, and ReLU; 0 units for one output for each class, without ReLU."""

    units: int = 0


L = TypeVar("L", bound=nn.Module)
Layer: TypeAlias = Filters | Normed | Blocks | Mixed | Largest | Across | Mean | Full


class Classic(NamedTuple):
    """A net: side of its images in pixels, and its layers."""

    side: int
    layers: tuple[Layer, ...]


def _vgg(*stages: tuple[int, int]) -> tuple[Layer, ...]:
    return tuple(
        layer for count, maps in stages for layer in (*[Filters(maps, 3, padding=1)] * count, Largest(2, 2))
    )  # fmt: skip


def _resnet(kind: type[Residual] | type[Bottleneck], maps: int, *counts: int) -> tuple[Layer, ...]:
    stages = (Blocks(kind, maps * 2**i, count, 1 if i == 0 else 2) for i, count in enumerate(counts))
    return Normed(64, 7, 2), Largest(3, 2, 1), *stages, Mean(), Full()


CLASSICS = {
    "alexnet": Classic(224, (
        Filters(96, 11, 4, 2), Across(), Largest(3, 2), Filters(256, 5, 1, 2, groups=2), Across(), Largest(3, 2),
        Filters(384, 3, 1, 1), Filters(384, 3, 1, 1, groups=2), Filters(256, 3, 1, 1, groups=2), Largest(3, 2),
        Full(4096), Full(4096), Full(),
    )),
    "overfeat": Classic(231, (
        Filters(96, 11, 4), Largest(2, 2), Filters(256, 5), Largest(2, 2),
        Filters(512, 3, 1, 1), Filters(1024, 3, 1, 1), Filters(1024, 3, 1, 1), Largest(2, 2),
        Full(3072), Full(4096), Full(),
    )),
    "vgg16": Classic(224, (
        *_vgg((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), Full(4096), Full(4096), Full(),
    )),
    "googlenet": Classic(224, (
        Filters(64, 7, 2, 3), Largest(3, 2, 1), Across(), Filters(64, 1), Filters(192, 3, 1, 1), Across(),
        Largest(3, 2, 1), Mixed(64, 96, 128, 16, 32, 32), Mixed(128, 128, 192, 32, 96, 64),
        Largest(3, 2, 1), Mixed(192, 96, 208, 16, 48, 64), Mixed(160, 112, 224, 24, 64, 64),
        Mixed(128, 128, 256, 24, 64, 64), Mixed(112, 144, 288, 32, 64, 64), Mixed(256, 160, 320, 32, 128, 128),
        Largest(3, 2, 1), Mixed(256, 160, 320, 32, 128, 128), Mixed(384, 192, 384, 48, 128, 128),
        Mean(), Full(),
    )),
    "resnet18": Classic(224, _resnet(Residual, 64, 2, 2, 2, 2)),
    "resnet50": Classic(224, _resnet(Bottleneck, 256, 3, 4, 6, 3)),
}  # fmt: skip
"""The nets by name.

| name | source | weights |
|---|---|---|
| alexnet | Krizhevsky, Sutskever & Hinton 2012, with two groups in layers 2, 4 and 5 | 60,965,224 |
| overfeat | Sermanet et al. 2013, the fast net | 145,920,872 |
| vgg16 | Simonyan & Zisserman 2014, configuration D | 138,357,544 |
| googlenet | Szegedy et al. 2014, table 1, without the auxiliary outputs | 6,998,552 |
| resnet18 | He et al. 2016, table 1 | 11,689,512 |
| resnet50 | He et al. 2016, table 1 | 25,557,032 |

All count biases, scales and shifts, at 1,000 classes. The papers round: 60 million for alexnet, 145 for overfeat, 138
for vgg16. Those of googlenet are 6,990,272 weights and 8,280 biases; the column of parameters in the paper's table adds
up to 6.8 million, and some of its rows do not follow from its sizes of the layers.
"""


class Inception(nn.Module):
    """(B, inputs, H, W) → (B, outputs, H, W): filters of three sizes and a pooling side by side (Szegedy et al. 2014).

    Args:
        inputs: maps that come in.
        sizes: maps of each path.
        generator: draws the weights; None leaves them on the meta device.
    """

    def __init__(self, inputs: int, sizes: Mixed, generator: torch.Generator | None) -> None:
        super().__init__()

        def path(*layers: Filters) -> list[nn.Module]:
            found, maps = [], inputs
            for layer in layers:
                found += _filters(layer, maps, generator)
                maps = layer.maps
            return found

        self.paths = nn.ModuleList(
            nn.Sequential(*layers)
            for layers in (
                path(Filters(sizes.one, 1)),
                path(Filters(sizes.reduced_three, 1), Filters(sizes.three, 3, padding=1)),
                path(Filters(sizes.reduced_five, 1), Filters(sizes.five, 5, padding=2)),
                [nn.MaxPool2d(3, 1, 1), *path(Filters(sizes.pooled, 1))],
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([path(maps) for path in self.paths], dim=1)


def classic(name: str, classes: int = 1000, generator: torch.Generator | None = None) -> nn.Sequential:
    """One of the nets of `CLASSICS`: (B, 3, side, side) → (B, classes).

    Args:
        name: such as "vgg16".
        classes: number of outputs, 1,000 in the papers.
        generator: draws the weights as He et al. 2015, equation 14, has it, with biases of 0; None makes the net on the
            meta device, without values and memory, for counting.

    Raises:
        OptionError: for an unknown name, or no class.

    >>> sum(weights.numel() for weights in classic("alexnet").parameters())
    60965224
    """
    if name not in CLASSICS:
        raise OptionError(f"There is no classic net {name!r}. {nearest(name, CLASSICS)}")
    if classes < 1:
        raise OptionError(f"A net needs one class or more, but classes is {classes}.")
    side, layers = CLASSICS[name]
    maps, net = 3, nn.Sequential()
    for layer in layers:
        match layer:
            case Filters():
                made, maps = _filters(layer, maps, generator), layer.maps
                side = _after(side, layer)
            case Normed():
                made, maps = [*normed(maps, *layer, generator), nn.ReLU()], layer.maps
                side = -(-side // layer.stride)
            case Blocks():
                made = [layer.kind(maps, layer.maps, layer.stride, generator)]
                made += [layer.kind(layer.maps, layer.maps, 1, generator) for _ in range(layer.blocks - 1)]
                maps, side = layer.maps, -(-side // layer.stride)
            case Mixed():
                made, maps = [Inception(maps, layer, generator)], layer.one + layer.three + layer.five + layer.pooled
            case Largest():
                made, side = [nn.MaxPool2d(*layer)], _after(side, layer)
            case Across():
                # The paper sums squares where torch takes their mean.
                made = [nn.LocalResponseNorm(layer.neighbours, alpha=1e-4 * layer.neighbours, beta=0.75, k=2.0)]
            case Mean():
                made, side = [nn.AvgPool2d(side)], 1
            case Full(units):
                made = [nn.Flatten(), _full(maps * side**2, units or classes, generator)]
                made += [nn.ReLU()] if units else []
                maps, side = units, 1
        net.extend(made)
    return net


def _after(side: int, layer: Filters | Largest) -> int:
    return (side + 2 * layer.padding - layer.kernel) // layer.stride + 1


def _filters(layer: Filters, inputs: int, generator: torch.Generator | None) -> list[nn.Module]:
    made = nn.Conv2d(inputs, *layer[:4], groups=layer.groups, device="meta")
    return [he_drawn(made, layer.maps * layer.kernel**2 // layer.groups, generator), nn.ReLU()]


def _full(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Module:
    return he_drawn(nn.Linear(inputs, outputs, device="meta"), outputs, generator)


@torch.no_grad()
def he_drawn(layer: L, fan: int, generator: torch.Generator | None) -> L:
    """A layer that was made on the meta device, with normal weights of variance 2 / fan and biases of 0.

    Without a generator it stays there. Source: He et al. 2015, equations 10 and 14, by the fan in or out.
    """
    if generator is not None:
        weight, bias = layer.to_empty(device="cpu").parameters()
        weight.normal_(0, math.sqrt(2 / fan), generator=generator)
        bias.zero_()
    return layer
