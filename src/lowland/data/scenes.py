"""Scenes with a label for every pixel: regions of sky, trees, walls, windows, grass and gravel, made of photographs."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.data.lookup import read
from lowland.data.photos import new_folder
from lowland.data.pictures import decode
from lowland.data.source import Source
from lowland.errors import OptionError, nearest

CLASSES = ("sky", "trees", "wall", "window", "grass", "gravel")
UNLABELLED = -1
_SKY, _TREES, _WALL, _WINDOW, _GRASS, _GRAVEL = range(len(CLASSES))
_SKIMAGE = Source(
    name="scenes",
    package="scikit-image",
    version="0.24 to 0.26",
    sha256={
        "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    },
    root="data",
    module="skimage",
)
_SKLEARN = Source(
    name="scenes",
    package="scikit-learn",
    version="1.6 to 1.9",
    sha256={"china.jpg": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29"},
    root="datasets/images",
    module="sklearn",
)
_PARTS = {"train": (0.0, 0.5), "validation": (0.5, 0.7), "test": (0.7, 1.0)}
_BOXES = {_SKY: (0, 185, 345, 530), _TREES: (325, 427, 385, 550)}
"""Rows and columns of the photograph of the Summer Palace that show nothing else."""
_ZOOMS = {_SKY: (1.0, 2.0), _TREES: (1.0, 2.0), _WALL: (2.0, 4.0), _GRASS: (1.0, 2.5), _GRAVEL: (1.0, 3.0)}
"""Pixels of a photograph for one of a scene, from and to."""
_TINTS = {
    _WALL: ((0.75, 0.45, 0.35), (0.75, 0.72, 0.65)),
    _GRASS: ((0.40, 0.62, 0.25), (0.72, 0.68, 0.35)),
    _GRAVEL: ((0.58, 0.58, 0.60), (0.78, 0.60, 0.45)),
}
"""Colours between which a grey texture is drawn, at its mean; they overlap with those of other classes."""


class Scenes(NamedTuple):
    """N images with labels: `images` uint8 (N, 3, H, W), `labels` int64 (N, H, W), −1 for none, and the `classes`."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def take(self, rows: Any) -> Scenes:
        """Some of the images."""
        return self._replace(images=self.images[rows], labels=self.labels[rows])

    def pixels(self, rows: Any = slice(None)) -> Tensor:
        """The images as float32 in [0, 1]."""
        return self.images[rows].float() / 255

    @property
    def shape(self) -> tuple[int, int, int]:
        """(3, H, W)."""
        _, channels, height, width = self.images.shape
        return channels, height, width


def draw_scenes(part: str, count: int, generator: torch.Generator, size: tuple[int, int] = (96, 128)) -> Scenes:
    """So many scenes: a house with windows or none, trees, a ground of grass and gravel, a sky; with exact labels.

    Textures are cut from photographs of scikit-image and scikit-learn, those of another part from other columns, at a
    random scale, mirrored where they end. Grey ones get a random colour. Light, its direction and its colour are random
    too. A window shows a piece of the sky, so that what is around it alone says what it is; colours of classes overlap;
    and what is above the horizon and below it depends on the place.

    Args:
        part: "train", "validation" or "test".
        count: how many.
        generator: draws everything.
        size: (H, W), at least 32 × 32.

    Raises:
        OptionError: for an unknown part or a smaller size.
        DataError: if scikit-image is not installed.

    >>> scenes = draw_scenes("train", 2, torch.Generator().manual_seed(0))
    >>> scenes.images.shape, scenes.labels.shape, scenes.classes[int(scenes.labels[0, 0, 0])]
    (torch.Size([2, 3, 96, 128]), torch.Size([2, 96, 128]), 'sky')
    """
    if min(size) < 32 or count < 1:
        raise OptionError(f"Scenes need a count of at least 1 and sides of at least 32, not {count} of {size}.")
    found = textures(part)
    draw = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    made = [_scene(found, size, draw) for _ in range(count)]
    images = torch.from_numpy(np.stack([image for image, _ in made])).movedim(3, 1).contiguous()
    return Scenes(images, torch.from_numpy(np.stack([labels for _, labels in made])), CLASSES)


def sample_scenes(folder: str | Path, masks: int, others: int, seed: int = 0) -> Path:
    """Write scenes as a user would have them: pictures, `masks/` for the first of them, and `masks/classes.csv`.

    Raises:
        DataError: if the folder is in use or cannot be written.
    """
    from PIL import Image

    scenes = draw_scenes("train", masks + others, torch.Generator().manual_seed(seed))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("class", "value"), *((n, i) for i, n in enumerate(CLASSES))])
    with new_folder(folder) as root:
        (root / "masks").mkdir()
        (root / "masks" / "classes.csv").write_text(table.getvalue())
        for number in range(masks + others):
            Image.fromarray(scenes.images[number].movedim(0, 2).numpy()).save(root / f"{number:04}.png")
            if number < masks:
                mask = Image.fromarray(scenes.labels[number].numpy().astype(np.uint8))
                mask.save(root / "masks" / f"{number:04}.png")
    return Path(folder)


def textures(part: str) -> dict[int, NDArray[np.float32]]:
    """The texture of each class but windows, by its number: (H, W, 3), in colour, or grey at a mean of 1.

    Raises:
        OptionError: for a part other than "train", "validation" or "test".
        DataError: if scikit-image is not installed.
    """
    if part not in _PARTS:
        raise OptionError(f"There is no part called {part!r}. {nearest(part, _PARTS)}")
    palace = decode(read(_SKLEARN, ["china.jpg"]).content["china.jpg"], "china.jpg", "RGB").movedim(0, 2).numpy()
    found = {number: palace[top:bottom, left:right] for number, (top, bottom, left, right) in _BOXES.items()}
    payloads = read(_SKIMAGE, list(_SKIMAGE.sha256)).content
    for number, name in ((_WALL, "brick.png"), (_GRASS, "grass.png"), (_GRAVEL, "gravel.png")):
        grey = decode(payloads[name], name, "L")[0].numpy()
        # The bricks of the photograph stand on end.
        grey = grey.T if number == _WALL else grey
        found[number] = np.repeat(grey[:, :, None] / grey.mean(), 3, axis=2)
    first, last = _PARTS[part]
    return {k: one[:, round(first * one.shape[1]) : round(last * one.shape[1])] for k, one in found.items()}


def surface(
    textures: dict[int, NDArray[np.float32]], kind: int, size: tuple[int, int], draw: np.random.Generator
) -> NDArray[np.float32]:
    """A piece of the texture of a class at a random place, scale and tint, (H, W, 3)."""
    piece = _patch(textures[kind], draw.uniform(*_ZOOMS[kind]), size, draw)
    if kind in _TINTS:
        one, other = map(np.array, _TINTS[kind])
        piece = piece * (one + draw.random() * (other - one)) * draw.uniform(0.7, 1.1)
    return piece.astype(np.float32, copy=False)


def _patch(
    texture: NDArray[np.float32], zoom: float, size: tuple[int, int], draw: np.random.Generator
) -> NDArray[np.float32]:
    """A piece of a texture at a random place, at 1 / zoom of its scale, (H, W, 3)."""
    from PIL import Image

    wanted = [round(zoom * side) for side in size]
    places = []
    for side, length in zip(wanted, texture.shape[:2], strict=True):
        at = draw.integers(2 * length) + np.arange(side)
        places.append(np.abs((at % (2 * length)) - length + 0.5).astype(int))  # there and back again
    piece = texture[places[0]][:, places[1]]
    if draw.random() < 0.5:
        piece = piece[:, ::-1]
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(piece[:, :, c])).resize((size[1], size[0]), Image.Resampling.BOX)
        )
        for c in range(3)
    ]
    return np.stack(channels, axis=2)


def _layout(size: tuple[int, int], draw: np.random.Generator) -> NDArray[np.int64]:
    """Labels of a scene, (H, W): what stands in front covers what is behind."""
    height, width = size
    row, column = np.mgrid[:height, :width]
    labels = np.full(size, _SKY, np.int64)
    horizon = height * draw.uniform(0.45, 0.65)

    def wave(low: float, high: float) -> NDArray[np.float64]:
        """A line of hills, from low to high rows above the horizon."""
        phases, periods = draw.uniform(0, 2 * np.pi, (3, 1)), width / draw.uniform((0.5, 1.5, 4.0), (1.5, 4.0, 9.0))
        sizes = np.array([[1.0], [0.6], [0.3]])
        line = (sizes * np.sin(2 * np.pi * column[0] / periods[:, None] + phases)).sum(axis=0)
        return horizon - low - (high - low) * (line + 1.9) / 3.8

    if draw.random() < 0.8:
        labels[row >= wave(0.0, height * draw.uniform(0.15, 0.4))] = _TREES
    grass, gravel = (_GRASS, _GRAVEL) if draw.random() < 0.5 else (_GRAVEL, _GRASS)
    labels[row >= horizon] = grass
    # A way or a lawn that narrows towards the horizon.
    far, near, slope = draw.uniform(0.0, width), draw.uniform(0.0, width), (row - horizon) / (height - horizon)
    middle, half = far + (near - far) * slope, width * draw.uniform(0.1, 0.35) * np.maximum(slope, 0.15)
    labels[(row >= horizon) & (np.abs(column - middle) < half)] = gravel
    for _ in range(draw.integers(1, 3)):
        _house(labels, horizon, draw)
    if draw.random() < 0.5:  # a bush in front
        reach, at = width * draw.uniform(0.06, 0.14), draw.uniform(0, width)
        foot = horizon + height * draw.uniform(0.05, 0.2)
        bumps = 1 + 0.25 * np.sin(draw.uniform(4, 9) * np.arctan2(row - foot, column - at) + draw.uniform(0, 6))
        labels[(np.hypot(row - foot, column - at) < reach * bumps) & (row <= foot + reach / 2)] = _TREES
    return labels


def _house(labels: NDArray[np.int64], horizon: float, draw: np.random.Generator) -> None:
    """A wall that stands on the ground, with rows of windows, drawn into the labels."""
    height, width = labels.shape
    foot = min(height, round(horizon + height * draw.uniform(0.02, 0.2)))
    top, across = round(horizon - height * draw.uniform(0.15, 0.6)), round(width * draw.uniform(0.25, 0.7))
    left = round(draw.uniform(-0.2 * width, 0.95 * width - across / 2))
    labels[max(0, top) : foot, max(0, left) : max(0, left + across)] = _WALL
    tall, wide = (round(draw.uniform(0.1, 0.45) * height) for _ in range(2))
    for upper in range(top + tall // 3, foot - tall - 2, round(1.6 * tall)):
        for side in range(left + wide // 3, left + across - wide - 1, round(1.6 * wide)):
            labels[max(0, upper) : max(0, upper + tall), max(0, side) : max(0, side + wide)] = _WINDOW


def _scene(
    textures: dict[int, NDArray[np.float32]], size: tuple[int, int], draw: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from scipy.ndimage import gaussian_filter

    labels = _layout(size, draw)
    image = np.zeros((*size, 3), np.float32)
    for number in np.unique(labels):
        piece = surface(textures, _SKY if number == _WINDOW else number, size, draw)
        image = np.where((labels == number)[:, :, None], piece, image)
    row, column = np.mgrid[: size[0], : size[1]]
    angle = draw.uniform(0, 2 * np.pi)
    slope = 0.3 * (np.cos(angle) * (row / size[0] - 0.5) + np.sin(angle) * (column / size[1] - 0.5))
    light = draw.uniform(0.65, 1.05) * (1 + draw.uniform(0, 1) * slope[:, :, None]) * draw.uniform(0.85, 1.15, 3)
    # The lens of a camera does not see the border of two regions as a step, and its sensor has noise.
    seen = gaussian_filter(image * light, (0.6, 0.6, 0)) + draw.normal(0, 0.015, image.shape)
    return np.round(255 * seen.clip(0, 1)).astype(np.uint8), labels
