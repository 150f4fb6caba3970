"""Terrain that a vehicle drives through: pictures with the exact distance and the exact kind of every pixel.

Legend: N pixels or points, H and W rows and columns, D steps of a ray, X and Y cells of the map across and along.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.data.scenes import textures
from lowland.errors import OptionError

KINDS = ("path", "lawn", "bush", "rock", "tree", "tall grass")
"""What a cell of the map is covered with; the first two can be driven on."""
DRIVABLE, OBSTACLE, SKY = 0, 1, -1
"""Labels of pixels."""
FOCAL, SIZE, LEVEL, EYE = 480.0, (208, 512), 56.0, 1.2
"""Focal length in pixels, rows and columns of a picture, row of the horizon of a level camera, its height in metres."""
FARTHEST = 110.0
"""Metres, along the optical axis, at which rays end."""
_PATH, _LAWN, _BUSH, _ROCK, _TREE, _TALL = range(len(KINDS))
_CELL, _ACROSS, _BEFORE, _ALONG = 0.15, 60.0, 5.0, 175.0
_FREE, _HALF_PATH = 1.6, 1.4
_RAYS = np.geomspace(2.0, FARTHEST, 560)
_SKY_TEXTURE, _TREE_TEXTURE, _BRICK, _GRASS, _GRAVEL = 0, 1, 2, 4, 5
_SURFACES = {
    _PATH: (_GRAVEL, _GRASS, _BRICK), _LAWN: (_GRASS, _GRAVEL), _BUSH: (_TREE_TEXTURE, _GRASS),
    _ROCK: (_GRAVEL, _BRICK), _TREE: (_BRICK, _TREE_TEXTURE), _TALL: (_GRASS, _TREE_TEXTURE),
}  # fmt: skip
_PALETTE = np.array([
    (0.55, 0.42, 0.30), (0.36, 0.50, 0.20), (0.70, 0.62, 0.38), (0.55, 0.55, 0.55), (0.60, 0.38, 0.30),
    (0.20, 0.32, 0.14), (0.74, 0.70, 0.60),
])  # fmt: skip
_OBJECTS = {_BUSH: (0.004, (0.5, 1.4), (0.5, 1.4)), _ROCK: (0.003, (0.3, 0.9), (0.4, 1.0)),
            _TREE: (0.002, (0.35, 0.6), (3.0, 6.0))}  # fmt: skip
"""Of each kind of object: how many on a square metre, its radius and its height in metres, from and to."""


class Frame(NamedTuple):
    """One picture of a drive, with what is known of it because it is drawn.

    `image` uint8 (3, H, W); `depth` (H, W) metres along the optical axis, infinite in the sky; `labels` int64 (H, W),
    `DRIVABLE`, `OBSTACLE` or `SKY`; `horizon` (W,) the row of the horizon of a flat ground in each column.
    """

    image: Tensor
    depth: Tensor
    labels: Tensor
    horizon: Tensor


@dataclass(frozen=True)
class Course:
    """A piece of land with a path, and its light: no other course has the same surfaces, colours and objects.

    The ground is a map of heights in cells of 0.15 m. Bushes, rocks, trees and patches of tall grass stand on it; a
    path winds through them, and the vehicle follows it. Each kind of surface gets a texture, cut from photographs (see
    `scenes.textures`), a scale and a colour of this course alone, and colours of what can be driven on and what cannot
    are drawn from one palette. So what a colour means is different on every course. Light, the place of the sun and
    haze are of the course too.

    A ray of each column of a picture is followed from near to far, and what rises above all before it is seen. The
    camera nods and rolls a little with each frame. A roll is drawn as a shear, which is right for small ones.

    Args:
        part: "train", "validation" or "test": from which part of the photographs textures are cut.
        seed: draws everything; a course with another seed, or of another part, is another one.

    Raises:
        OptionError: for an unknown part.
        DataError: if scikit-image is not installed.

    >>> frame = Course("train", 0).frame(0.0)
    >>> frame.image.shape, frame.labels[-1, 256].item() == DRIVABLE, bool(frame.depth[0, 0].isinf())
    (torch.Size([3, 208, 512]), True, True)
    """

    part: str
    seed: int

    @cached_property
    def _world(self) -> _World:
        return _draw_world(self.part, self.seed)

    def frame(self, at: float) -> Frame:
        """The picture after so many metres of the drive, from 0 to 60.

        Raises:
            OptionError: for a place off the course.
        """
        if not 0 <= at <= 60:
            raise OptionError(f"A course is driven from 0 to 60 metres, not at {at:g}.")
        world = self._world
        draw = np.random.default_rng((*world.key, round(1000 * at)))
        nod, roll = draw.normal(0, 0.006), draw.normal(0, 0.01)
        middle = (SIZE[1] - 1) / 2
        horizon_W = np.array([LEVEL + FOCAL * nod + roll * (u - middle) for u in range(SIZE[1])])
        seen = _cast(world, at, horizon_W)
        image = _shade(world, seen, draw)
        kind_HW = np.where(seen.sky, SKY, np.where(seen.kind <= _LAWN, DRIVABLE, OBSTACLE))
        depth = np.where(seen.sky, np.inf, seen.depth).astype(np.float32)
        return Frame(
            torch.from_numpy(image).movedim(2, 0).contiguous(), torch.from_numpy(depth), torch.from_numpy(kind_HW),
            torch.from_numpy(horizon_W.astype(np.float32)),
        )  # fmt: skip


class _World(NamedTuple):
    """All that a course is made of: maps (Y, X), and for each kind a pyramid of textures and pixels for a metre."""

    key: tuple[int, int]
    height: NDArray[np.float32]
    kind: NDArray[np.int64]
    light: NDArray[np.float32]
    bend: tuple[NDArray[np.float64], ...]
    surfaces: list[tuple[list[NDArray[np.float32]], float]]
    sky: NDArray[np.float32]
    haze: float
    ambient: NDArray[np.float64]


class _Seen(NamedTuple):
    """What each pixel (H, W) shows: map cell, depth, place in the world (metres), kind; whether it is sky."""

    depth: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    kind: NDArray[np.int64]
    light: NDArray[np.float32]
    sky: NDArray[np.bool_]


def _draw_world(part: str, seed: int) -> _World:
    from scipy.ndimage import gaussian_filter

    photographs = textures(part)
    key = (("train", "validation", "test").index(part), seed)
    draw = np.random.default_rng(key)
    bend = draw.uniform(1.0, 3.0, 3), draw.uniform(40, 120, 3), draw.uniform(0, 2 * np.pi, 3)
    y_Y = np.arange(-_BEFORE, _ALONG, _CELL)
    x_X = np.arange(-_ACROSS, _ACROSS, _CELL)
    off = np.abs(x_X[None, :] - _path(bend, y_Y)[:, None])
    kind = np.where(off < _HALF_PATH, _PATH, _LAWN)
    ground = np.zeros(kind.shape, np.float32)
    for size, amount in ((25.0, 0.04), (6.0, 0.03), (1.5, 0.015)):
        ground += amount * _noise(kind.shape, size / _CELL, draw)
    height = np.zeros_like(ground)
    patches = _noise(kind.shape, 5.0 / _CELL, draw) > draw.uniform(1.0, 2.0)
    tall = patches & (off > _FREE + 0.5)
    kind[tall] = _TALL
    height[tall] = (draw.uniform(0.45, 0.8) + 0.1 * draw.standard_normal(kind.shape).clip(-2, 2))[tall]
    for number, (density, radii, heights) in _OBJECTS.items():
        for _ in range(draw.poisson(density * 2 * _ACROSS * _ALONG * draw.uniform(0.5, 1.5))):
            middle = draw.uniform(-_ACROSS, _ACROSS), draw.uniform(0, _ALONG)
            radius, top = draw.uniform(*radii), draw.uniform(*heights)
            if abs(middle[0] - _path(bend, np.array(middle[1]))) > radius + _FREE:
                _put(height, kind, number, middle, radius, top, draw)
    height = gaussian_filter(height, 0.5) * (kind > _LAWN) + ground
    slope_y, slope_x = np.gradient(gaussian_filter(height, 1.0), _CELL)
    angle = draw.uniform(0, 2 * np.pi)
    sun = 0.45 * (np.cos(angle) * slope_x + np.sin(angle) * slope_y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    patchy = 1 + 0.08 * _noise(kind.shape, 8.0 / _CELL, draw)
    ambient = draw.uniform(0.7, 1.15) * draw.uniform(0.85, 1.15, 3)
    surfaces = [_surface(photographs[draw.choice(_SURFACES[k])], draw) for k in range(len(KINDS))]
    light = ((1 - sun) * patchy).clip(0.35, 1.6).astype(np.float32)
    return _World(
        key, height.astype(np.float32), kind, light, bend, surfaces, photographs[_SKY_TEXTURE],
        draw.uniform(0.0, 0.006), ambient,
    )  # fmt: skip


def _path(bend: tuple[NDArray[np.float64], ...], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the middle of the path is after y metres; at 0 it is at 0."""
    sizes, lengths, phases = bend
    waves = np.sin(2 * np.pi * y[..., None] / lengths + phases) - np.sin(phases)
    return (sizes * waves).sum(axis=-1)


def _noise(shape: tuple[int, ...], size: float, draw: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise (Y, X) with bumps of about so many cells, mean 0 and deviation 1."""
    coarse = torch.from_numpy(draw.standard_normal([max(4, math.ceil(side / size)) for side in shape]))
    fine = torch.nn.functional.interpolate(
        coarse[None, None], size=list(shape), mode="bicubic", align_corners=False
    )[0, 0].numpy()  # fmt: skip
    return ((fine - fine.mean()) / fine.std()).astype(np.float32)


def _put(
    height: NDArray[np.float32], kind: NDArray[np.int64], number: int, middle: tuple[float, float], radius: float,
    top: float, draw: np.random.Generator,
) -> None:  # fmt: skip
    """Stand a round object on the map: steep at its foot, with a rough top."""
    reach = math.ceil(1.4 * radius / _CELL)
    column, row = round((middle[0] + _ACROSS) / _CELL), round((middle[1] + _BEFORE) / _CELL)
    rows = slice(max(0, row - reach), min(height.shape[0], row + reach + 1))
    columns = slice(max(0, column - reach), min(height.shape[1], column + reach + 1))
    along, across = np.mgrid[rows, columns]
    angle = np.arctan2(along - row, across - column)
    edge = radius * (1 + 0.2 * np.sin(draw.integers(2, 6) * angle + draw.uniform(0, 6)))
    part = np.hypot(along - row, across - column) * _CELL / edge
    rise = top * np.sqrt(1 - part.clip(0, 1) ** 4) * (1 + 0.12 * draw.standard_normal(part.shape).clip(-2, 2))
    inside = (part < 1) & (rise > height[rows, columns])
    height[rows, columns][inside] = rise[inside]
    kind[rows, columns][inside] = number


def _surface(texture: NDArray[np.float32], draw: np.random.Generator) -> tuple[list[NDArray[np.float32]], float]:
    """A texture in a random colour and contrast, at ever smaller scales, and its pixels for a metre."""
    grey = texture.mean(axis=2)
    grey = 1 + draw.uniform(0.12, 0.3) * ((grey - grey.mean()) / grey.std()).clip(-2.5, 2.5)
    colour = _PALETTE[draw.integers(len(_PALETTE))] * draw.uniform(0.8, 1.2, 3)
    side = min(grey.shape)
    side = 2 ** int(math.log2(side))
    levels = [(grey[:side, :side, None] * colour).astype(np.float32)]
    while len(levels[-1]) > 1:
        one = levels[-1]
        levels.append((one[::2, ::2] + one[1::2, ::2] + one[::2, 1::2] + one[1::2, 1::2]) / 4)
    return levels, side * draw.uniform(0.4, 1.0)


def _cast(world: _World, at: float, horizon_W: NDArray[np.float64]) -> _Seen:
    """Follow the ray of each column over the map of heights."""
    here, ahead = _path(world.bend, np.array([at, at + 2.0]))
    turn = math.atan2(ahead - here, 2.0)
    tangent_W = (np.arange(SIZE[1]) - SIZE[1] / 2 + 0.5) / FOCAL
    x_DW = here + _RAYS[:, None] * (math.sin(turn) + tangent_W * math.cos(turn))
    y_DW = at + _RAYS[:, None] * (math.cos(turn) - tangent_W * math.sin(turn))
    column = ((x_DW + _ACROSS) / _CELL).round().astype(int).clip(0, world.height.shape[1] - 1)
    row = ((y_DW + _BEFORE) / _CELL).round().astype(int).clip(0, world.height.shape[0] - 1)
    eye = EYE + float(world.height[round((at + _BEFORE) / _CELL), round((here + _ACROSS) / _CELL)])
    rows_DW = horizon_W + FOCAL * (eye - world.height[row, column]) / _RAYS[:, None]
    top_DW = np.minimum.accumulate(rows_DW, axis=0)
    pixel_H = np.arange(SIZE[0], dtype=float)
    rising = torch.from_numpy(np.ascontiguousarray(-top_DW.T))
    wanted = torch.from_numpy(-pixel_H).expand(SIZE[1], -1).contiguous()
    first_HW = torch.searchsorted(rising, wanted).numpy().T
    sky, found = first_HW == len(_RAYS), first_HW.clip(0, len(_RAYS) - 1)
    across = np.arange(SIZE[1])
    before = (found - 1).clip(0)
    gap = top_DW[before, across] - top_DW[found, across]
    share = ((top_DW[before, across] - pixel_H[:, None]) / np.where(gap > 0, gap, 1)).clip(0, 1)
    depth = _RAYS[before] + share * (_RAYS[found] - _RAYS[before])
    cell = row[found, across], column[found, across]
    scale = depth / _RAYS[found]
    x = here + (x_DW[found, across] - here) * scale
    y = at + (y_DW[found, across] - at) * scale
    z = eye - (pixel_H[:, None] - horizon_W) * depth / FOCAL
    kind, near = world.kind[cell], np.random.default_rng(world.key).uniform(-0.7, 0.7, (2, *SIZE))
    # Cells are squares, but the border of a path is not.
    edge = world.kind[(cell[0] + near[0]).round().astype(int).clip(0, len(world.kind) - 1),
                      (cell[1] + near[1]).round().astype(int).clip(0, world.kind.shape[1] - 1)]  # fmt: skip
    kind = np.where((kind <= _LAWN) & (edge <= _LAWN), edge, kind)
    return _Seen(depth, x, y, z, kind, world.light[cell], sky)


def _shade(world: _World, seen: _Seen, draw: np.random.Generator) -> NDArray[np.uint8]:
    """The picture (H, W, 3) of what is seen: textures at their scale, light, haze, the lens and the sensor."""
    from scipy.ndimage import gaussian_filter

    height, width = SIZE
    image = np.empty((height, width, 3), np.float32)
    at = np.mgrid[:height, :width]
    mirrored = [np.abs((one % (2 * side)) - side + 0.5).astype(int)
                for one, side in zip(at, world.sky.shape[:2], strict=True)]  # fmt: skip
    image[:] = world.sky[mirrored[0], mirrored[1]]
    behind = world.sky.mean(axis=(0, 1)) * world.ambient
    image *= world.ambient
    flat = seen.kind <= _LAWN
    # A pixel covers more ground along the view than across.
    across = seen.depth / FOCAL
    covered = np.where(flat, across * np.sqrt(np.maximum(1.0, seen.depth / EYE)), across)
    for number, (levels, metre) in enumerate(world.surfaces):
        some = (seen.kind == number) & ~seen.sky
        if not some.any():
            continue
        one = metre * np.where(flat, seen.x, seen.x + 0.6 * seen.y)[some]
        other = metre * np.where(flat, seen.y, seen.z)[some]
        level = np.log2(np.maximum(1.0, covered[some] * metre)).round().astype(int).clip(0, len(levels) - 1)
        colour = np.empty((len(one), 3), np.float32)
        for scale in np.unique(level):
            own, side = level == scale, len(levels[scale])
            places = [np.abs((np.floor(p[own] / 2**scale) % (2 * side)) - side + 0.5).astype(int) for p in (one, other)]
            colour[own] = levels[scale][places[1], places[0]]
        image[some] = colour * (seen.light[some][:, None] * world.ambient)
    through = np.exp(-world.haze * seen.depth)[:, :, None]
    image = np.where(seen.sky[:, :, None], image, image * through + behind * (1 - through))
    image = gaussian_filter(image, (0.5, 0.5, 0)) + draw.normal(0, 0.012, image.shape)
    return np.round(255 * image.clip(0, 1)).astype(np.uint8)
