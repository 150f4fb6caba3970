"""Small pictures of blocks, each with a shape, a colour, a material, a size and a place, and what is in them.

Legend: N scenes, S pixels of a side, G columns and rows of places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.errors import OptionError, ShapeError

ATTRIBUTES = {
    "shape": ("cube", "sphere", "cylinder"),
    "colour": ("red", "green", "blue", "yellow", "purple", "grey"),
    "material": ("metal", "rubber"),
    "size": ("large", "small"),
}
"""The values of each attribute."""
PLACES, CELL = 10, 8
"""Columns and rows of places, and pixels of one."""
SIDE = PLACES * CELL
"""Pixels of a side."""
MOST = PLACES
"""Blocks of a scene, at most: no two share a column or a row, so that each stands left of another, or right of it."""
CLASSES = 1 + int(np.prod([len(values) for values in ATTRIBUTES.values()]))
"""Labels of a place: 0 where nothing stands, and one for each kind of block."""
_RGB = {
    "red": (0.80, 0.16, 0.14),
    "green": (0.14, 0.58, 0.22),
    "blue": (0.18, 0.32, 0.82),
    "yellow": (0.86, 0.76, 0.14),
    "purple": (0.58, 0.20, 0.66),
    "grey": (0.46, 0.46, 0.46),
}
_FINER = 3
_RADII = {"large": 3.6, "small": 2.5}


class Block(NamedTuple):
    """A block: the numbers of its values in `ATTRIBUTES`, its column from the left and its row from the back."""

    shape: int
    colour: int
    material: int
    size: int
    column: int
    row: int

    def value(self, attribute: str) -> str:
        """The name of its value of an attribute."""
        return ATTRIBUTES[attribute][getattr(self, attribute)]


Scene: TypeAlias = tuple[Block, ...]


class BlockScenes(NamedTuple):
    """N scenes: `images` uint8 (N, 3, S, S), and the blocks of each, exactly."""

    images: Tensor
    scenes: tuple[Scene, ...]

    def pixels(self, rows: Any = slice(None)) -> Tensor:
        """The images as float32 in [0, 1]."""
        return self.images[rows].float() / 255


def draw_blocks(count: int, generator: torch.Generator, least: int = 3, most: int = MOST) -> BlockScenes:
    """So many scenes of `least` to `most` blocks on a floor, seen from above and in front.

    Values and places are uniform; light, its direction and the place within a cell vary, and there is noise. Metal has
    a bright spot and dark edges, rubber is dull.

    Args:
        count: how many.
        generator: draws everything.
        least, most: blocks of a scene.

    Raises:
        OptionError: for a count below 1, or numbers of blocks outside 1 … 10.

    >>> drawn = draw_blocks(2, torch.Generator().manual_seed(0))
    >>> drawn.images.shape, 3 <= len(drawn.scenes[0]) <= 10
    (torch.Size([2, 3, 80, 80]), True)
    """
    if count < 1 or not 1 <= least <= most <= MOST:
        raise OptionError(f"Scenes need a count of at least 1 and 1 to {MOST} blocks, not {count}, {least} and {most}.")
    draw = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    scenes = tuple(_scene(int(draw.integers(least, most + 1)), draw) for _ in range(count))
    images = np.stack([_picture(scene, draw) for scene in scenes])
    return BlockScenes(torch.from_numpy(images).movedim(3, 1).contiguous(), scenes)


def labels_of(scenes: Sequence[Scene]) -> Tensor:
    """The label of each place, (N, G, G) int64: 0 for none, or 1 + the number of the kind of block.

    >>> int(labels_of([(Block(0, 0, 0, 0, 4, 7),)])[0, 7, 4])
    1
    """
    found = torch.zeros(len(scenes), PLACES, PLACES, dtype=torch.int64)
    sizes = tuple(len(values) for values in ATTRIBUTES.values())
    for number, scene in enumerate(scenes):
        for block in scene:
            found[number, block.row, block.column] = 1 + int(np.ravel_multi_index(block[:4], sizes))
    return found


def scenes_of(labels: Tensor) -> tuple[Scene, ...]:
    """The blocks that labels (N, G, G) say, from left to right, no more than ten: the inverse of `labels_of`.

    Raises:
        ShapeError: for labels of another shape, or outside their range.

    >>> scenes_of(labels_of([(Block(2, 5, 1, 0, 3, 3),)]))
    ((Block(shape=2, colour=5, material=1, size=0, column=3, row=3),),)
    """
    if labels.shape[1:] != (PLACES, PLACES) or not bool(((labels >= 0) & (labels < CLASSES)).all()):
        raise ShapeError(f"Labels must be (N, {PLACES}, {PLACES}) from 0 to {CLASSES - 1}, not {tuple(labels.shape)}.")
    sizes, found = tuple(len(values) for values in ATTRIBUTES.values()), []
    for each in labels.tolist():
        blocks = [
            Block._make((*map(int, np.unravel_index(label - 1, sizes)), column, row))
            for row, line in enumerate(each)
            for column, label in enumerate(line)
            if label
        ]
        found.append(tuple(sorted(blocks, key=lambda block: block.column)[:MOST]))
    return tuple(found)


def _scene(count: int, draw: np.random.Generator) -> Scene:
    columns, rows = np.sort(draw.permutation(PLACES)[:count]), draw.permutation(PLACES)[:count]
    values = [draw.integers(len(values), size=count) for values in ATTRIBUTES.values()]
    return tuple(Block(*map(int, each)) for each in zip(*values, columns, rows, strict=True))


def _picture(scene: Scene, draw: np.random.Generator) -> NDArray[np.uint8]:
    """The scene as (S, S, 3), at three times its size and averaged."""
    side = SIDE * _FINER
    line = np.arange(side) / side - 0.5
    slope, bright = draw.uniform(-0.15, 0.15, 2), draw.uniform(0.85, 1.1)
    light = bright * (1 + slope[0] * line[None, :] + slope[1] * line[:, None])
    image = np.repeat(0.72 * light[:, :, None], 3, axis=2)
    for block in sorted(scene, key=lambda block: block.row):
        radius = _RADII[block.value("size")] * draw.uniform(0.94, 1.06)
        slack = min(0.6, CELL / 2 - 0.1 - radius)
        left, top = (CELL * (place + 0.5) + draw.uniform(-slack, slack) for place in (block.column, block.row))
        columns, rows = (
            slice(place * CELL * _FINER, (place + 1) * CELL * _FINER) for place in (block.column, block.row)
        )
        y, x = np.mgrid[rows, columns] / _FINER
        _paint(image[rows, columns], block, ((x - left) / radius, (y - top) / radius), light[rows, columns])
    small = image.reshape(SIDE, _FINER, SIDE, _FINER, 3).mean(axis=(1, 3)) + draw.normal(0, 0.015, (SIDE, SIDE, 3))
    return np.round(255 * small.clip(0, 1)).astype(np.uint8)


def _paint(image: Any, block: Block, at: tuple[Any, Any], light: Any) -> None:
    """One block, with coordinates at from −1 to 1 across it, into an image."""
    x, y = at
    kind = block.value("shape")
    if kind == "sphere":
        inside, shade = x**2 + y**2 < 1, 1.1 - 0.45 * (x**2 + y**2) - 0.15 * (x + y)
    elif kind == "cube":
        inside = np.maximum(np.abs(x), np.abs(y)) < 0.9
        shade = np.where(y < -0.35, 1.25, np.where(x > 0.45, 0.6, 0.92))
    else:
        lid = (x / 0.72) ** 2 + ((y + 0.7) / 0.28) ** 2 < 1
        inside = lid | ((np.abs(x) < 0.72) & (y > -0.7) & (y < 0.7 + 0.28 * np.sqrt((1 - (x / 0.72) ** 2).clip(0))))
        shade = np.where(lid, 1.25, 1.05 - 0.55 * np.abs(x))
    colour = np.array(_RGB[block.value("colour")]) * (shade * light)[:, :, None]
    if block.value("material") == "metal":
        spot = np.exp(-(((x + 0.25) ** 2 + (y + 0.2) ** 2) / 0.12))[:, :, None]
        colour = 0.8 * colour * (1 - spot) + 1.0 * spot
    image[inside] = colour[inside]
