"""Convolution stages for films: frames and a vector to a stack of feature maps, and feature maps back to a frame.

Shape letters: B samples, P frames of context, C channels, H and W rows and columns of a frame, S size of a vector, F
feature maps of the last stage, h and w their rows and columns.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.nn.layers import mlp

L = TypeVar("L", bound=nn.Module)
SLOPE = 0.2
_FAR = 10.0
_SPEED = 5.0


def activation() -> nn.Module:
    """The activation of Henaff, Canziani & LeCun 2019: a rectifier with slope 0.2 below zero."""
    return nn.LeakyReLU(SLOPE)


def convolution(
    inputs: int,
    outputs: int,
    generator: torch.Generator,
    kernel: int | tuple[int, int] = 3,
    stride: int = 1,
    padding: int | None = None,
) -> nn.Conv2d:
    """A convolution that keeps the size of its images, or divides it by the stride, with weights from a generator."""
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    border = ((rows - 1) // 2, (columns - 1) // 2) if padding is None else padding
    layer = nn.Conv2d(inputs, outputs, (rows, columns), stride, padding=border, device="meta")
    return _drawn(layer, inputs * rows * columns, generator)


def _transposed(inputs: int, outputs: int, odd: tuple[int, int], generator: torch.Generator) -> nn.ConvTranspose2d:
    """Twice the size, and one row or column more where `odd` is 1."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1, output_padding=odd, device="meta")
    # Each output gets a quarter of the 16 taps.
    return _drawn(layer, inputs * 4, generator)


def _drawn(layer: L, fan: int, generator: torch.Generator) -> L:
    layer.to_empty(device="cpu")
    bound = 1 / math.sqrt(fan)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


def stage_sizes(size: tuple[int, int], stages: int) -> list[tuple[int, int]]:
    """Rows and columns before and after each stage of stride 2.

    Raises:
        OptionError: if nothing would be left of the image.

    >>> stage_sizes((117, 24), 3)
    [(117, 24), (58, 12), (29, 6), (14, 3)]
    """
    sizes = [size]
    for _ in range(stages):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    if min(sizes[-1]) < 1:
        raise OptionError(f"Images of {size[0]} × {size[1]} are too small for {stages} stages that halve them.")
    return sizes


class FilmEncoder(nn.Module):
    """(B, P, C, H, W) and (B, *own) → (B, F, h, w): the sum of a convolutional encoding and one of the vector.

    Stages of 4 × 4 convolutions with stride 2 for the frames, stacked along the channels, and a perceptron for the
    z-scored vector, whose output is added (Henaff, Canziani & LeCun 2019, appendix B: 64, 128 and 256 maps, two hidden
    layers of 256 units). Frames may be of uint8, from 0 to 255, or real numbers from 0 to 1.

    Args:
        frames: P.
        channels: C.
        size: (H, W).
        own: shape of the vector of a sample, (S,) or (P, S); () for none.
        maps: of each stage.
        hidden: units of each hidden layer of the perceptron.
        generator: draws the weights.

    >>> encoder = FilmEncoder(frames=2, channels=3, size=(64, 16), own=(5,), maps=(8, 16, 32), hidden=32)
    >>> encoder(torch.zeros(4, 2, 3, 64, 16), torch.zeros(4, 5)).shape
    torch.Size([4, 32, 8, 2])
    """

    own_mean: Tensor
    own_deviation: Tensor

    def __init__(
        self,
        frames: int,
        channels: int,
        size: tuple[int, int],
        own: Sequence[int] = (),
        maps: Sequence[int] = (64, 128, 256),
        hidden: int = 256,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.film, self.own, self.maps = (frames, channels, *size), tuple(own), tuple(maps)
        self.shape = (maps[-1], *stage_sizes(size, len(maps))[-1])
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise((frames * channels, *maps)):
            layers += [convolution(inputs, outputs, generator, kernel=4, stride=2), activation()]
        self.images = nn.Sequential(*layers[:-1])
        self.vector = None
        if self.own:
            sizes = math.prod(self.own), hidden, hidden, math.prod(self.shape)
            self.vector = mlp(*sizes, activation=activation, generator=generator)
            self.register_buffer("own_mean", torch.zeros(self.own[-1]))
            self.register_buffer("own_deviation", torch.ones(self.own[-1]))

    def forward(self, image: Tensor, own: Tensor | None = None) -> Tensor:
        """The code (B, F, h, w).

        Raises:
            ShapeError: for frames of another number or size, or a vector of another shape, than it was made for.
        """
        self.check(image, own)
        code = self.images(as_real(image, self).flatten(1, 2))
        if self.vector is None or own is None:
            return code
        scaled = ((own - self.own_mean) / self.own_deviation).clamp(-_FAR, _FAR)
        return code + self.vector(scaled.flatten(1)).unflatten(1, self.shape)

    def check(self, image: Tensor, own: Tensor | None) -> None:
        """Raise a ShapeError unless film and vector are those that the encoder was made for."""
        frames, channels, height, width = self.film
        found = tuple(image.shape[1:])
        if len(found) != 4:
            raise ShapeError(f"A film must have the shape (B, P, C, H, W), but it is {tuple(image.shape)}.")
        if found[2:] != (height, width):
            raise ShapeError(
                f"This model was made for images of {height} × {width}, but these are {found[2]} × {found[3]}: render "
                "them at its size, or train a model for theirs."
            )
        if found[:2] != (frames, channels):
            raise ShapeError(
                f"This model looks at {frames} frames of {channels} channels, but it got {found[0]} of {found[1]}: "
                "fewer frames than the context cannot be completed."
            )
        given = () if own is None else tuple(own.shape[1:])
        if self.own and given != self.own:
            wanted, found = (", ".join(map(str, ("B", *shape))) for shape in (self.own, given))
            raise ShapeError(f"This model takes vectors of shape ({wanted}), but these have shape ({found}).")


class FrameDecoder(nn.Module):
    """(B, F, h, w) → (B, outputs, H, W): the stages of `FilmEncoder` backwards, as transposed convolutions.

    Args:
        outputs: channels of what comes out.
        size: (H, W).
        maps: of each stage of the encoder.
        generator: draws the weights.

    >>> FrameDecoder(3, (117, 24), maps=(4, 8, 16))(torch.zeros(2, 16, 14, 3)).shape
    torch.Size([2, 3, 117, 24])
    """

    def __init__(
        self,
        outputs: int,
        size: tuple[int, int],
        maps: Sequence[int] = (64, 128, 256),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        sizes = stage_sizes(size, len(maps))[::-1]
        layers: list[nn.Module] = []
        for (inputs, into), target in zip(itertools.pairwise((*maps[::-1], outputs)), sizes[1:], strict=True):
            layers += [_transposed(inputs, into, (target[0] % 2, target[1] % 2), generator), activation()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, code: Tensor) -> Tensor:
        return self.layers(code)


class FilmEyes(nn.Module):
    """A state with `image` (B, P, C, H, W) and `own` (B, 5) → (B, `size`), what a policy sees in films.

    With three fully connected layers of 256 after it, as `lowland.planning.Policy` has them, it is the policy network
    of Henaff, Canziani & LeCun 2019. Of the own car it gets heading and speed, but not the place: that is in the
    images, and the policy is then the same anywhere on any road.

    Args:
        frames: P.
        channels: C.
        size: (H, W).
        maps, hidden: see `FilmEncoder`.
        generator: draws the weights.
        through: whether gradients go on through what is seen to the actions before. Edges of sharp images make that
            part noisy, and where `own` tells as well what an action does it can be left out.

    Attributes:
        shapes: of what a state must have for one sample, by name.
        options: the arguments by which it was made.

    >>> eyes = FilmEyes(2, 3, (64, 16), maps=(4, 8, 8), hidden=16)
    >>> eyes({"image": torch.zeros(4, 2, 3, 64, 16), "own": torch.zeros(4, 5)}).shape[1] == eyes.size
    True
    """

    def __init__(
        self,
        frames: int,
        channels: int,
        size: tuple[int, int],
        maps: Sequence[int] = (64, 128, 256),
        hidden: int = 256,
        generator: torch.Generator | None = None,
        through: bool = True,
    ) -> None:
        super().__init__()
        self.through = through
        self.options = {
            "frames": frames, "channels": channels, "size": list(size), "maps": list(maps), "hidden": hidden,
            "through": through,
        }  # fmt: skip
        self.shapes = {"image": (frames, channels, *size), "own": (5,)}
        self.encoder = FilmEncoder(frames, channels, size, (2,), maps, hidden, generator)
        self.size = math.prod(self.encoder.shape)

    def forward(self, state: Mapping[str, Tensor]) -> Tensor:
        _, _, _, across, speed = state["own"].unbind(dim=-1)
        image = state["image"] if self.through else state["image"].detach()
        code = self.encoder(image, torch.stack([10 * across, speed / _SPEED - 2], dim=-1))
        return functional.leaky_relu(code, SLOPE).flatten(1)


def as_real(image: Tensor, module: nn.Module) -> Tensor:
    """Grey values from 0 to 1 in the type of the module's weights; uint8 counts from 0 to 255."""
    if image.is_floating_point():
        return image
    return image.to(next(module.parameters()).dtype) / 255


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """(B, C, H, W) seen `flow` (B, C, 2, H, W) pixels further right and down, each channel by a flow of its own.

    Bilinear between pixels, and 0 outside (Jaderberg et al. 2015, "Spatial transformer networks").

    >>> warp(torch.arange(3.0).reshape(1, 1, 1, 3), torch.tensor([1.0, 0.0]).reshape(1, 1, 2, 1, 1)).flatten().tolist()
    [1.0, 2.0, 0.0]
    """
    height, width = image.shape[-2:]
    like = {"dtype": image.dtype, "device": image.device}
    rows, columns = torch.arange(height, **like)[:, None], torch.arange(width, **like)
    across = (2 * (columns + flow[:, :, 0]) + 1) / width - 1
    down = (2 * (rows + flow[:, :, 1]) + 1) / height - 1
    grid = torch.stack(torch.broadcast_tensors(across, down), dim=-1).expand(*image.shape, 2)
    seen = functional.grid_sample(image.flatten(0, 1)[:, None], grid.flatten(0, 1), align_corners=False)
    return seen[:, 0].unflatten(0, image.shape[:2])
