"""ConvNets that label tumours: two paths side by side, a cascade of two such nets, and one in 3-D (system V13).

Shape letters: B images, C channels, D slices, H and W rows and columns, K classes.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.nn.classics import he_drawn

CONTEXT = 33
"""Rows and columns of the image that one output sees."""
_WIDE = 21


def fourier_convolution(image: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What `conv2d` without padding gives, by products of Fourier transforms: for large filters.

    Source: Mathieu, Henaff & LeCun, "Fast training of convolutional networks through FFTs" (2013). For 5 filters of
    21 × 21 over 224 maps of 44 × 44 a step of training takes an eighth of the time on one core.

    Args:
        image: (B, C, H, W).
        weight: (K, C, h, w), no larger than the image.
        bias: (K,).

    Raises:
        ShapeError: for filters larger than the image.

    >>> image, weight = torch.rand(1, 2, 9, 8), torch.rand(3, 2, 5, 4)
    >>> torch.allclose(fourier_convolution(image, weight), functional.conv2d(image, weight), atol=1e-4)
    True
    """
    (height, width), (down, across) = image.shape[2:], weight.shape[2:]
    if down > height or across > width:
        raise ShapeError(f"Filters of {down} × {across} are larger than the image, {height} × {width}.")
    maps = torch.fft.rfft2(image).permute(2, 3, 0, 1)
    filters = torch.fft.rfft2(weight, s=(height, width)).conj().permute(2, 3, 1, 0)
    found = torch.fft.irfft2((maps @ filters).permute(2, 3, 0, 1), s=(height, width))
    found = found[:, :, : height - down + 1, : width - across + 1]
    return found if bias is None else found + bias[:, None, None]


class TwoPaths(nn.Module):
    """(B, C, H, W) → (B, K, H, W): small filters for detail, and beside them large ones for what is around.

    The local path has 64 filters of 7 × 7, maxima of 4 × 4, 64 filters of 3 × 3, and maxima of 2 × 2, all at stride 1.
    The global path has 160 filters of 13 × 13. Both give 21 × 21 places of a piece of 33 × 33, and one filter for each
    class over all of them gives the score of the pixel in the middle. Here all pixels are computed at once, with
    zeros around the image. Source: Havaei et al., "Brain tumor segmentation with deep neural networks" (2015).

    With 9 channels, 4 contrasts and the 5 probabilities of a first net, it has 7² · 9 · 64 + 3² · 64² + 13² · 9 · 160
    + 21² · 224 · 5 = 802,368 weights, which is the published number. It is reached without the biases, and with one
    filter for each map: the paper's maxout layers have two, of which the larger counts; here are rectifiers.

    A score is a sum of up to 98,784 products, and a step of Adam moves all of their weights alike. The sum is therefore
    divided by the root of that number, and its weights start at 0.

    Args:
        shape: (C, H, W).
        classes: K.
        wide: filters of the global path; 0 for the local path alone.
        generator: draws the weights as He et al. 2015 have it; None leaves them on the meta device.

    Raises:
        OptionError: for no class, or a negative number of filters.

    >>> weight_count(TwoPaths((9, 24, 16))), weight_count(TwoPaths((4, 24, 16)))
    (802368, 651488)
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int = 5,
        wide: int = 160,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if classes < 1 or wide < 0:
            raise OptionError(f"Two paths need a class, and 0 or more wide filters, not {classes} and {wide}.")
        self.shape, self.classes, self.margin = tuple(shape), classes, CONTEXT // 2
        self.fine = _filters(shape[0], 64, 7, generator)
        self.finer = _filters(64, 64, 3, generator)
        self.wide = _filters(shape[0], wide, 13, generator) if wide else None
        self.output = _filters(64 + wide, classes, _WIDE, generator)
        if generator is not None:
            nn.init.zeros_(self.output.weight)
        self.scale = 1 / math.sqrt((64 + wide) * _WIDE**2)

    def maps(self, image: Tensor) -> Tensor:
        """What the output layer sees, (B, 224, H − 12, W − 12)."""
        local = functional.max_pool2d(functional.relu(self.fine(image)), 4, 1)
        local = functional.max_pool2d(functional.relu(self.finer(local)), 2, 1)
        return local if self.wide is None else torch.cat([local, functional.relu(self.wide(image))], dim=1)

    def inner(self, image: Tensor) -> Tensor:
        """The scores of the places that are `margin` or more from the border, (B, K, H − 32, W − 32)."""
        return fourier_convolution(self.scale * self.maps(image), self.output.weight, self.output.bias)

    def forward(self, image: Tensor) -> Tensor:
        return self.inner(functional.pad(image, (self.margin,) * 4))


class Cascade(nn.Module):
    """(B, C, H, W) → (B, K, H, W): a second `TwoPaths` that also sees the probabilities that a first one gives.

    softmax f₁ of the first are K more channels of the input of the second: neighbouring labels thus depend on each
    other. The first is held fixed. Source: Havaei et al. 2015, the
    cascade whose second net has the labels as inputs.

    Args:
        first: a trained net; the cascade uses it as it is, without a gradient.
        generator: draws the weights of the second net; None leaves them on the meta device.

    >>> cascade = Cascade(TwoPaths((4, 20, 12), generator=torch.Generator()), torch.Generator())
    >>> cascade.second.shape, cascade(torch.zeros(1, 4, 20, 12)).shape
    ((9, 20, 12), torch.Size([1, 5, 20, 12]))
    """

    def __init__(self, first: TwoPaths, generator: torch.Generator | None = None) -> None:
        super().__init__()
        channels, height, width = first.shape
        self.first, self.shape, self.classes = first.requires_grad_(False), first.shape, first.classes
        self.second = TwoPaths((channels + first.classes, height, width), first.classes, generator=generator)
        self.margin = 2 * first.margin

    @property
    def output(self) -> nn.Conv2d:
        """The last layer, which the second phase of training changes."""
        return self.second.output

    def inner(self, image: Tensor) -> Tensor:
        """The scores of the places that are `margin` or more from the border, (B, K, H − 64, W − 64)."""
        with torch.no_grad():
            shares = self.first.inner(image).softmax(dim=1)
        cut = self.first.margin
        return self.second.inner(torch.cat([image[:, :, cut:-cut, cut:-cut], shares], dim=1))

    def forward(self, image: Tensor) -> Tensor:
        return self.inner(functional.pad(image, (self.margin,) * 4))


def weight_count(network: nn.Module) -> int:
    """How many weights the filters of a network have that are trained, without biases.

    >>> weight_count(Cascade(TwoPaths((4, 20, 12))))
    802368
    """
    network = network.second if isinstance(network, Cascade) else network
    return sum(one.numel() for name, one in network.named_parameters() if name.endswith("weight"))


class Windows(nn.Module):
    """A `TwoPaths` or `Cascade` on windows of an image with all that their places see: the border has scores of 0.

    Only the inner side · side places have scores; give those of the border no label.

    Args:
        network: whose weights are used.
        side: of the places that are computed.

    >>> windows = Windows(TwoPaths((4, 20, 12), generator=torch.Generator()), side=8)
    >>> windows.shape, windows(torch.zeros(1, 4, 40, 40)).shape
    ((4, 40, 40), torch.Size([1, 5, 40, 40]))
    """

    def __init__(self, network: TwoPaths | Cascade, side: int) -> None:
        super().__init__()
        self.network, self.classes = network, network.classes
        self.shape = (network.shape[0], side + 2 * network.margin, side + 2 * network.margin)

    def forward(self, image: Tensor) -> Tensor:
        return functional.pad(self.network.inner(image), (self.network.margin,) * 4)


class VolumeNet(nn.Module):
    """(B, C, D · H, W) → (B, K, D · H, W): filters in three dimensions, for volumes whose slices lie below each other.

    Filters of 3 × 3 × 3 at three scales, with maxima of 2 × 2 × 2 between them; the maps of all scales are brought to
    the voxels, and two layers give the scores.

    Args:
        shape: (C, D, H, W); D, H and W are multiples of 4.
        classes: K.
        maps: feature maps of the three scales.
        hidden: units of the layer before the scores.
        generator: draws the weights as He et al. 2015 have it; None leaves them on the meta device.

    Raises:
        OptionError: for sides that are no such multiples.

    >>> net = VolumeNet((4, 8, 12, 8), generator=torch.Generator())
    >>> net.shape, net(torch.zeros(2, 4, 96, 8)).shape
    ((4, 96, 8), torch.Size([2, 5, 96, 8]))
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        classes: int = 5,
        maps: tuple[int, int, int] = (12, 24, 48),
        hidden: int = 24,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if any(side % 4 for side in shape[1:]):
            raise OptionError(f"A volume needs sides that are multiples of 4, but they are {shape[1:]}.")
        self.slices = shape[1]
        self.shape, self.classes = (shape[0], shape[1] * shape[2], shape[3]), classes
        sizes = itertools.pairwise((shape[0], *maps))
        self.stages = nn.ModuleList(_filters_3d(one, other, 3, generator) for one, other in sizes)
        self.last = _filters_3d(maps[-1], maps[-1], 3, generator)
        self.mixed = nn.ModuleList(_filters_3d(count, hidden, 1, generator) for count in maps)
        self.output = _filters_3d(hidden, classes, 1, generator)

    def forward(self, image: Tensor) -> Tensor:
        value = image.unflatten(2, (self.slices, -1))
        size, found = value.shape[2:], []
        for number, stage in enumerate(self.stages):
            value = functional.relu(stage(functional.max_pool3d(value, 2) if number else value))
            found.append(value)
        found[-1] = functional.relu(self.last(value))
        # Mixing maps and interpolating them commute; there are fewer maps behind the mixing.
        mixed, *coarse = (mix(each) for mix, each in zip(self.mixed, found, strict=True))
        for each in coarse:
            mixed = mixed + functional.interpolate(each, size=size, mode="trilinear")
        return self.output(functional.relu(mixed)).flatten(2, 3)


def _filters(inputs: int, maps: int, kernel: int, generator: torch.Generator | None) -> nn.Conv2d:
    return he_drawn(nn.Conv2d(inputs, maps, kernel, device="meta"), inputs * kernel**2, generator)


def _filters_3d(inputs: int, maps: int, kernel: int, generator: torch.Generator | None) -> nn.Conv3d:
    layer = nn.Conv3d(inputs, maps, kernel, padding=kernel // 2, device="meta")
    return he_drawn(layer, inputs * kernel**3, generator)
