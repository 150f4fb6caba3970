"""Scenes with things to find: cut-outs put on photographs so that no pasted border gives them away.

Every thing is scaled, turned, its light changed, and blended in with a soft edge. Beside the things there are decoys,
pieces of another photograph put in the same way, so that an edge alone says nothing. Last, the whole scene gets one
blur and one noise. A scene depends on its seed and number alone, so a training run can have a fresh one each time.

Shape letters: K cut-outs, N things in a scene, C channels, H × W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.boxes import box_of
from lowland.errors import DataError, OptionError, ShapeError

_TRIES, _LONGEST = 20, 100
_OPAQUE, _SEEN = 0.5, 0.02
_DECOY = 64


class Scene(NamedTuple):
    """An image and what is in it, exactly.

    `image` (C, H, W) in [0, 1]; `boxes` (N, 4), see `data.boxes`; `angles` (N,) in radians, clockwise; `masks` (N, H,
    W) of booleans.
    """

    image: Tensor
    boxes: Tensor
    angles: Tensor
    masks: Tensor


@dataclass(frozen=True, eq=False)
class PastedScenes:
    """Scenes by number: one to `most` things and up to `decoys` decoys, none of which overlap.

    Args:
        cutouts: (K, C + 1, S, S) in [0, 1], the last channel the opacity, such as `stamps` has them.
        photographs: (P, C, R, R) in [0, 1], R at least `side`.
        side: H = W, in pixels.
        sizes: the least and the largest longer side of a thing, in pixels; drawn evenly on a logarithmic scale.
        most: things in a scene, at most.
        decoys: at most.
        turn: largest angle by which things are turned either way, in degrees.
        mirror: whether half of the things are mirrored.
        varied: whether scenes vary more than those they stand for, so that few photographs and things teach more: half
            of all things, decoys and photographs have their colours in another order, photographs stand on any side,
            and half of the scenes lie on two of them, which meet at a straight line.
        seed: of all scenes.
        labels: (P,) which photograph each of `photographs` is a part of; without them each is one of its own.

    Raises:
        ShapeError: for cut-outs, photographs or labels of another shape.
        DataError: for no cut-outs, fewer than two photographs, or a cut-out that is nowhere opaque.
        OptionError: for sizes that the scene cannot hold.

    >>> disc = torch.ones(1, 2, 8, 8)
    >>> scene = PastedScenes(disc, torch.rand(2, 1, 32, 32), side=32, sizes=(8, 12)).draw(0)
    >>> scene.image.shape, bool(len(scene.boxes) >= 1)
    (torch.Size([1, 32, 32]), True)
    """

    cutouts: Tensor
    photographs: Tensor
    side: int = 128
    sizes: tuple[float, float] = (20.0, 64.0)
    most: int = 4
    decoys: int = 3
    turn: float = 20.0
    mirror: bool = True
    varied: bool = False
    seed: int = 0
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.photographs.shape)
        if self.cutouts.dim() != 4 or len(shape) != 4 or self.cutouts.shape[1] != shape[1] + 1:
            raise ShapeError(
                "Scenes need cut-outs (K, C + 1, S, S) and photographs (P, C, R, R), but they are "
                f"{tuple(self.cutouts.shape)} and {shape}."
            )
        if self.labels is not None and self.labels.shape != shape[:1]:
            raise ShapeError(f"Scenes need a label for each of {shape[0]} photographs, but they are of shape "
                             f"{tuple(self.labels.shape)}.")  # fmt: skip
        if not len(self.cutouts) or self.different < 2:
            raise DataError(
                f"Scenes need a cut-out and two photographs, one of them for decoys, but there are "
                f"{len(self.cutouts)} and {self.different}."
            )
        if not bool((self.cutouts[:, -1] > _OPAQUE).flatten(1).any(dim=1).all()):
            raise DataError("A cut-out is nowhere more than half opaque: there is nothing to find. Leave it out.")
        low, high = self.sizes
        if not 4 <= low <= high <= self.side / math.sqrt(2) or min(shape[2:]) < self.side:
            raise OptionError(
                f"Things of {low:g} to {high:g} pixels do not fit into scenes of {self.side}, cut from photographs of "
                f"{min(shape[2:])}: a thing needs 4 pixels at least, and room to be turned."
            )

    @property
    def different(self) -> int:
        """How many different photographs there are."""
        return len(self.photographs) if self.labels is None else len(self.labels.unique())

    def draw(self, number: int) -> Scene:
        """The scene of this number."""
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        behind = _below(len(self.photographs), draw)
        image = self._background(self.photographs[behind], draw)
        if self.varied and _below(2, draw):
            image = _joined(image, self._background(self.photographs[_below(len(self.photographs), draw)], draw), draw)
        taken, boxes, angles, masks = torch.zeros(0, 4), [], [], []
        things = 1 + _below(self.most, draw)
        parts = things + _below(self.decoys + 1, draw)
        for part in range(_LONGEST):
            # Where no thing could be put, as where thin lines have faded, one more is tried.
            thing = part < things or not masks
            if part >= parts and masks:
                break
            source = self.cutouts[_below(len(self.cutouts), draw)] if thing else self._decoy(behind, draw)
            piece, angle = self._changed(source, draw)
            place = self._place(piece, taken, draw)
            if place is None:
                continue
            top, left, own = place
            height, width = piece.shape[1:]
            part_of = image[:, top : top + height, left : left + width]
            part_of.copy_(piece[:-1] + (1 - piece[-1]) * part_of)
            taken = torch.cat([taken, own[None]])
            if thing:
                boxes.append(own)
                mask = torch.zeros(self.side, self.side, dtype=torch.bool)
                mask[top : top + height, left : left + width] = piece[-1] > _OPAQUE
                masks.append(mask)
                angles.append(angle)
        blur, noise = torch.rand(2, generator=draw).tolist()
        image = blurred(image, 0.8 * blur) + 0.04 * noise * torch.randn(image.shape, generator=draw)
        if not masks:
            raise DataError(f"No thing could be put into scene {number}: all cut-outs fade at these sizes.")
        return Scene(image.clamp_(0, 1), torch.stack(boxes), torch.tensor(angles), torch.stack(masks))

    def _background(self, photograph: Tensor, draw: torch.Generator) -> Tensor:
        """A square of a photograph, at random place and scale, as it is or mirrored."""
        whole = photograph.shape[1]
        size = self.side + _below(whole - self.side + 1, draw)
        top, left = (_below(whole - size + 1, draw) for _ in range(2))
        part = photograph[None, :, top : top + size, left : left + size]
        if size > self.side:
            part = functional.interpolate(part, (self.side, self.side), mode="bilinear", antialias=True)
        part = part.flip(3) if _below(2, draw) else part
        if self.varied:
            part = torch.rot90(part, _below(4, draw), (2, 3))
        return self._lit(self._coloured(part[0], draw), 1.0, draw).clamp(0, 1)

    def _coloured(self, image: Tensor, draw: torch.Generator) -> Tensor:
        """Half of all images with their colours in another order, if scenes are varied."""
        if not self.varied or _below(2, draw):
            return image
        return image[torch.randperm(len(image), generator=draw)]

    def _decoy(self, behind: int, draw: torch.Generator) -> Tensor:
        """An ellipse of another photograph than that of row `behind`, as a cut-out."""
        labels = torch.arange(len(self.photographs)) if self.labels is None else self.labels
        others = (labels != labels[behind]).nonzero()[:, 0]
        photograph = self.photographs[others[_below(len(others), draw)]]
        size = min(_DECOY, photograph.shape[1])
        top, left = (_below(photograph.shape[1] - size + 1, draw) for _ in range(2))
        part = photograph[:, top : top + size, left : left + size]
        return torch.cat([part, ellipse(size, size, 0.4 + 0.6 * _unit(draw))[None]])

    def _changed(self, source: Tensor, draw: torch.Generator) -> tuple[Tensor, float]:
        """A cut-out scaled, turned, lit and softened, its colours times its opacity; and the angle."""
        left, top, right, bottom = (int(edge) for edge in box_of(source[-1] > _OPAQUE))
        low, high = self.sizes
        size = low * (high / low) ** _unit(draw)
        angle = math.radians(self.turn) * (2 * _unit(draw) - 1)
        piece = source[None, :, top:bottom, left:right]
        piece = piece.flip(3) if self.mirror and _below(2, draw) else piece
        piece = torch.cat([piece[:, :-1] * piece[:, -1:], piece[:, -1:]], dim=1)
        scale = size / max(bottom - top, right - left)
        shape = [max(3, round(scale * length)) for length in piece.shape[2:]]
        piece = functional.interpolate(piece, shape, mode="bilinear", antialias=True)
        piece = blurred(turned(piece[0], angle), 0.4 + 0.6 * _unit(draw))
        opacity = piece[-1:]
        colours = self._coloured(piece[:-1], draw)
        return torch.cat([self._lit(colours, opacity, draw).clamp(torch.zeros(()), opacity), opacity]), angle

    def _lit(self, image: Tensor, opacity: Tensor | float, draw: torch.Generator) -> Tensor:
        """Another light: contrast by up to a fifth, brightness by a tenth, of colours that are times `opacity`."""
        contrast, brightness = 0.8 + 0.4 * _unit(draw), 0.2 * _unit(draw) - 0.1
        return contrast * (image - 0.5 * opacity) + (0.5 + brightness) * opacity

    def _place(self, piece: Tensor, boxes: Tensor, draw: torch.Generator) -> tuple[int, int, Tensor] | None:
        """Top, left, and the box in the scene, which overlaps no other one; None where there is no room."""
        height, width = piece.shape[1:]
        inside = piece[-1] > _OPAQUE
        if height > self.side or width > self.side or not bool(inside.any()):
            return None
        own = box_of(inside)
        for _ in range(_TRIES):
            top, left = _below(self.side - height + 1, draw), _below(self.side - width + 1, draw)
            moved = own + torch.tensor([left, top, left, top])
            if not bool(((moved[:2] < boxes[:, 2:]) & (boxes[:, :2] < moved[2:])).all(dim=1).any()):
                return top, left, moved
        return None


def _joined(one: Tensor, other: Tensor, draw: torch.Generator) -> Tensor:
    """Two images (C, H, H), each on one side of a straight line near the middle."""
    side, angle, shift = one.shape[1], 2 * math.pi * _unit(draw), 0.6 * (_unit(draw) - 0.5)
    steps = (torch.arange(side) + 0.5) / side - 0.5
    beyond = math.cos(angle) * steps + math.sin(angle) * steps[:, None] > shift
    return torch.where(beyond, one, other)


def turned(image: Tensor, angle: float) -> Tensor:
    """An image (C, H, W) turned clockwise by an angle in radians, on a canvas that holds it, with zeros around it.

    >>> turned(torch.ones(1, 2, 4), math.pi / 2).round()[0]
    tensor([[1., 1.],
            [1., 1.],
            [1., 1.],
            [1., 1.]])
    """
    height, width = image.shape[1:]
    cos, sin = math.cos(angle), math.sin(angle)
    tall, wide = (math.ceil(length - 1e-9) for length in (
        height * abs(cos) + width * abs(sin), width * abs(cos) + height * abs(sin)
    ))  # fmt: skip
    # Where each pixel of the canvas comes from, in units of half the image.
    back = torch.tensor([[cos * wide / width, sin * tall / width, 0], [-sin * wide / height, cos * tall / height, 0]])
    grid = functional.affine_grid(back[None], [1, 1, tall, wide], align_corners=False)
    return functional.grid_sample(image[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def blurred(image: Tensor, deviation: float) -> Tensor:
    """An image (C, H, W) under a Gaussian of this standard deviation, in pixels, at most 2.

    >>> round(blurred(torch.ones(1, 9, 9), 1.0)[0, 4, 4].item(), 4)
    1.0
    """
    if deviation < 0.1:
        return image
    reach = math.ceil(2.5 * deviation)
    steps = torch.arange(-reach, reach + 1, dtype=image.dtype)
    kernel = (-0.5 * (steps / deviation).square()).exp()
    weights = (kernel / kernel.sum()).tolist()
    padded = functional.pad(image[None], (reach, reach, reach, reach), mode="replicate")[0]
    # Sums of shifted images: a convolution of each channel alone takes several times as long for images so small.
    across = _mixed([padded[:, :, step : step + image.shape[2]] for step in range(2 * reach + 1)], weights)
    return _mixed([across[:, step : step + image.shape[1]] for step in range(2 * reach + 1)], weights)


def _mixed(images: list[Tensor], weights: list[float]) -> Tensor:
    total = images[0] * weights[0]
    for image, weight in zip(images[1:], weights[1:], strict=True):
        total.add_(image, alpha=weight)
    return total


def ellipse(height: int, width: int, ratio: float = 1.0) -> Tensor:
    """1 inside an ellipse that fills the height, and the width times the ratio; 0 outside: (height, width).

    >>> ellipse(4, 4).tolist()[0]
    [0.0, 1.0, 1.0, 0.0]
    """
    rows, columns = ((2 * torch.arange(length) + 1) / length - 1 for length in (height, width))
    return (rows[:, None].square() + (columns[None] / ratio).square() <= 1).float()


def portraits(faces_N1HW: Tensor) -> Tensor:
    """Portraits (N, 1, H, W) as cut-outs, (N, 2, H, W): opaque in an upright ellipse.

    >>> portraits(torch.rand(3, 1, 12, 10)).shape
    torch.Size([3, 2, 12, 10])
    """
    height, width = faces_N1HW.shape[2:]
    opacity = ellipse(height, width).expand(len(faces_N1HW), 1, -1, -1)
    return torch.cat([faces_N1HW, opacity], dim=1)


def _below(count: int, draw: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=draw))


def _unit(draw: torch.Generator) -> float:
    return float(torch.rand((), generator=draw))
