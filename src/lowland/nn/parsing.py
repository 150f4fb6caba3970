"""Networks that label every pixel: an image to scores of K classes at each place (systems V8, V9).

Shape letters: B images, C channels, H and W rows and columns, K classes, F feature maps.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.nn.convolutional import convolution

STRIDE = 4
"""Scores are computed at every fourth pixel, and interpolated."""
_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


class PointwiseScores(nn.Conv2d):
    """(B, C, H, W) → (B, K, H, W): a linear function of each pixel alone, without weights from a generator: they are 0.

    >>> PointwiseScores((3, 4, 6), 2)(torch.ones(1, 3, 4, 6)).shape
    torch.Size([1, 2, 4, 6])
    """

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(shape[0], classes, 1, device="meta")
        self.to_empty(device="cpu")
        self.shape, self.classes = tuple(shape), classes
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def halve(image: Tensor) -> Tensor:
    """Every second pixel of the image, blurred by a binomial filter of 5 × 5, (B, C, H, W) → (B, C, H / 2, W / 2)."""
    line = torch.tensor(_BINOMIAL, dtype=image.dtype, device=image.device) / sum(_BINOMIAL)
    kernel = (line[:, None] * line).expand(image.shape[1], 1, -1, -1)
    padded = functional.pad(image, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, kernel, stride=2, groups=image.shape[1])


def pyramid(image: Tensor, levels: int, bands: bool = False) -> list[Tensor]:
    """The image G_0 at ever smaller scales, G_s+1 half of G_s (see `halve`), or the bands L_s = G_s − up(G_s+1).

    The first is the Gaussian pyramid. The second, of which the last level is G itself, is the Laplacian pyramid: each
    level holds one octave of detail, and together they are the image, since adding up(L_s+1) to L_s, from the last on,
    gives it back. Source: Burt & Adelson, "The Laplacian pyramid as a compact image code" (1983), with bilinear
    interpolation for `up`.

    Args:
        image: (B, C, H, W).
        levels: how many; 1 gives the image.
        bands: whether it is the Laplacian pyramid.

    Raises:
        ShapeError: if H and W cannot be halved so many times.

    >>> [tuple(level.shape[2:]) for level in pyramid(torch.zeros(1, 3, 16, 24), 3)]
    [(16, 24), (8, 12), (4, 6)]
    """
    if any(side % 2 ** (levels - 1) for side in image.shape[2:]):
        raise ShapeError(
            f"{levels} levels need sides that are multiples of {2 ** (levels - 1)}, not {tuple(image.shape[2:])}."
        )
    blurred = [image]
    for _ in range(levels - 1):
        blurred.append(halve(blurred[-1]))
    if not bands:
        return blurred
    return [*(fine - resized(coarse, fine) for fine, coarse in itertools.pairwise(blurred)), blurred[-1]]


def resized(maps: Tensor, like: Tensor) -> Tensor:
    """Maps (B, F, h, w) by bilinear interpolation to the rows and columns of others."""
    return functional.interpolate(maps, size=like.shape[2:], mode="bilinear", align_corners=False)


class Head(nn.Module):
    """(B, F, H / 4, W / 4) → (B, K, H, W): two layers at each place, rectifiers between, then interpolation."""

    def __init__(self, features: int, hidden: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(features, hidden, generator, kernel=1),
            nn.ReLU(),
            convolution(hidden, classes, generator, kernel=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return functional.interpolate(
            self.layers(maps), scale_factor=float(STRIDE), mode="bilinear", align_corners=False
        )


class MultiScaleParser(nn.Module):
    """Images (B, C, H, W) in [0, 1] → (B, K, H, W): one ConvNet, shared by the scales of a pyramid.

    Three stages of 7 × 7 filters, rectifiers, and max pooling of 2 × 2 behind the first two. A place of the last stage
    sees 46 × 46 pixels of its scale, so that three scales see 46, 92 and 184 pixels of the image around it. The maps of
    all scales are brought to the places of the first, and two layers give the scores. Source: Farabet, Couprie, Najman
    & LeCun, "Learning hierarchical features for scene labeling" (2013), which has a Laplacian pyramid (`bands`) whose
    levels are normalised locally, tanh, and 16, 64 and 256 maps. Bands have no colour but at borders, so that only the
    coarsest level knows that of a region; here the scales are blurred images instead, unless bands are asked for.

    Args:
        shape: (C, H, W); H and W are multiples of 4 · 2^(scales − 1).
        classes: K.
        scales: of the pyramid; 1 is the image alone, with a context of 46 pixels.
        bands: whether it is a Laplacian pyramid.
        maps: feature maps of the three stages.
        hidden: units of the layer before the scores.
        generator: draws the weights, uniformly as He et al. 2015 have it.

    Raises:
        OptionError: for sides that are no such multiples.

    >>> parser = MultiScaleParser((3, 32, 48), classes=6)
    >>> parser(torch.zeros(2, 3, 32, 48)).shape, parser.contexts
    (torch.Size([2, 6, 32, 48]), (46, 92, 184))
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        scales: int = 3,
        bands: bool = False,
        maps: tuple[int, int, int] = (16, 32, 64),
        hidden: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        multiple = STRIDE * 2 ** (scales - 1)
        if scales < 1 or any(side % multiple for side in shape[1:]):
            raise OptionError(
                f"{scales} scales need sides that are multiples of {multiple}, not {shape[1]} × {shape[2]}."
            )
        generator = generator or torch.Generator().manual_seed(0)
        self.shape, self.classes, self.scales, self.bands = tuple(shape), classes, scales, bands
        self.contexts = tuple(46 * 2**scale for scale in range(scales))
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(itertools.pairwise((shape[0], *maps))):
            layer = convolution(inputs, outputs, generator, kernel=7)
            with torch.no_grad():
                layer.weight.mul_(math.sqrt(6))  # from the bound √(1 / fan in) to √(6 / fan in)
            layers += [layer, nn.ReLU(), *([nn.MaxPool2d(2)] if number < 2 else [])]
        self.stages = nn.Sequential(*layers)
        self.head = Head(scales * maps[-1], hidden, classes, generator)

    def maps(self, image: Tensor) -> Tensor:
        """The feature maps of all scales, (B, scales · F, H / 4, W / 4)."""
        # Around zero, with a deviation of about 1.
        found = [self.stages(level) for level in pyramid(4 * image - 2, self.scales, self.bands)]
        return torch.cat([found[0], *(resized(maps, found[0]) for maps in found[1:])], dim=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.maps(image))


class EncoderParser(nn.Module):
    """Images (B, C, H, W) in [0, 1] → (B, K, H, W): the stages of an encoder, all at one size, and two layers.

    Places of all stages side by side are hypercolumns (Hariharan, Arbeláez, Girshick & Malik, "Hypercolumns for object
    segmentation and fine-grained localization", 2015). The encoder is trained further, with the rest.

    Args:
        encoder: with a method `stages(image)`: the maps after each stage, such as `ConvNet` has; it may have been made
            for another size of images.
        mean, deviation: (C, 1, 1), with which the encoder's images were standardised.
        shape: (C, H, W), multiples of 4.
        classes: K.
        hidden: units of the layer before the scores.
        generator: draws the weights of the two layers.

    Raises:
        OptionError: for an encoder without stages, or of another number of channels.

    >>> from lowland.nn.encoders.convnet import ConvNet
    >>> parser = EncoderParser(ConvNet((3, 24, 24), (8, 16)), torch.zeros(3, 1, 1), torch.ones(3, 1, 1), (3, 32, 48), 6)
    >>> parser(torch.zeros(2, 3, 32, 48)).shape
    torch.Size([2, 6, 32, 48])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        mean: Tensor,
        deviation: Tensor,
        shape: tuple[int, int, int],
        classes: int,
        hidden: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        stages: Any = getattr(encoder, "stages", None)
        made: Any = getattr(encoder, "shape", (0,))
        if stages is None:
            raise OptionError(
                f"{type(encoder).__name__} has no maps of several sizes: label pixels with a ConvNet or a ResNet18."
            )
        if made[0] != shape[0]:
            raise OptionError(f"The encoder takes images of {made[0]} channels, but these have {shape[0]}.")
        if any(side % STRIDE for side in shape[1:]):
            raise OptionError(f"Sides must be multiples of {STRIDE}, but they are {shape[1]} and {shape[2]}.")
        self.shape, self.classes, self.encoder = tuple(shape), classes, encoder
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", deviation.clone())
        with torch.no_grad():
            encoder.eval()
            features = sum(maps.shape[1] for maps in stages(torch.zeros(1, *shape)))
        self.head = Head(features, hidden, classes, generator or torch.Generator().manual_seed(0))

    def forward(self, image: Tensor) -> Tensor:
        encoder: Any = self.encoder
        stages = encoder.stages((image - self.mean) / self.deviation)
        size = [side // STRIDE for side in self.shape[1:]]
        maps = [functional.interpolate(each, size=size, mode="bilinear", align_corners=False) for each in stages]
        return self.head(torch.cat(maps, dim=1))
