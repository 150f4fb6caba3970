"""Small scenes of coloured shapes before pieces of photographs, with several captions each, all of them true."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.data.caption_grammar import COLOURS, GROUNDS, KINDS, Caption, Described, Thing, describe
from lowland.data.scenes import CLASSES, surface, textures
from lowland.errors import OptionError

SIDE = 40
"""Pixels of a side."""
_RGB = {
    "red": (0.80, 0.15, 0.15),
    "green": (0.15, 0.60, 0.20),
    "blue": (0.20, 0.30, 0.80),
    "yellow": (0.85, 0.75, 0.15),
    "purple": (0.60, 0.20, 0.65),
}
_RADII, _APART, _FINER = (5.0, 8.0), 10.0, 3
HELD_OUT_THINGS = frozenset(map(Thing, KINDS, COLOURS))
"""One colour of each kind, and each colour once, that scenes to learn from do not have."""
HELD_OUT_PLACES = frozenset(zip(KINDS, (*list(GROUNDS)[2:], *list(GROUNDS)[:2]), strict=True))
"""One background of each kind, likewise."""


class CaptionedScenes(NamedTuple):
    """N scenes: `images` uint8 (N, 3, S, S), what is in them, exactly, and several captions of each."""

    images: Tensor
    scenes: tuple[Described, ...]
    captions: tuple[tuple[Caption, ...], ...]

    def pixels(self, rows: Any = slice(None)) -> Tensor:
        """The images as float32 in [0, 1]."""
        return self.images[rows].float() / 255


def held_out(scene: Described) -> bool:
    """Whether a scene has a thing, or a kind of thing before a background, that scenes to learn from do not have.

    >>> [held_out(Described((Thing("square", colour),), "grass")) for colour in ("red", "blue")]
    [True, False]
    """
    kinds = {(thing.kind, scene.ground) for thing in scene.things}
    return bool(HELD_OUT_THINGS.intersection(scene.things) or HELD_OUT_PLACES & kinds)


def draw_captioned(
    part: str, count: int, generator: torch.Generator, new: bool = False, captions: int = 5
) -> CaptionedScenes:
    """So many scenes of one or two coloured shapes before grass, gravel, a brick wall, the sky or trees.

    Shapes have a random size, angle, light and shade; backgrounds are cut from photographs of scikit-image and
    scikit-learn, those of another part from other columns. Two things are different, and one is further left.

    Args:
        part: "train", "validation" or "test", for the backgrounds.
        count: how many.
        generator: draws everything.
        new: whether each scene is `held_out`, or none is.
        captions: of each scene.

    Raises:
        OptionError: for an unknown part, or a count or a number of captions below 1.
        DataError: if scikit-image is not installed.

    >>> drawn = draw_captioned("train", 2, torch.Generator().manual_seed(0))
    >>> drawn.images.shape, len(drawn.captions[0]), any(map(held_out, drawn.scenes))
    (torch.Size([2, 3, 40, 40]), 5, False)
    """
    if count < 1 or captions < 1:
        raise OptionError(f"Captioned scenes need a count and captions of at least 1, not {count} and {captions}.")
    behind = textures(part)
    draw = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    images, scenes = [], []
    while len(scenes) < count:
        scene = _described(draw)
        if held_out(scene) == new:
            scenes.append(scene)
            images.append(_image(scene, behind, draw))
    told = tuple(tuple(describe(scene, draw) for _ in range(captions)) for scene in scenes)
    return CaptionedScenes(torch.from_numpy(np.stack(images)).movedim(3, 1).contiguous(), tuple(scenes), told)


def _described(draw: np.random.Generator) -> Described:
    every = [Thing(kind, colour) for kind in KINDS for colour in COLOURS]
    chosen = draw.choice(len(every), draw.integers(1, 3), replace=False)
    return Described(tuple(every[place] for place in chosen), list(GROUNDS)[draw.integers(len(GROUNDS))])


def _image(scene: Described, behind: dict[int, NDArray[np.float32]], draw: np.random.Generator) -> NDArray[np.uint8]:
    """Things before a background, under one light, one blur and one noise, (S, S, 3)."""
    from scipy.ndimage import gaussian_filter

    image = surface(behind, CLASSES.index(scene.ground), (SIDE, SIDE), draw)
    radii = draw.uniform(*_RADII, len(scene.things))
    for thing, radius, (row, column) in zip(scene.things, radii, _places(radii, draw), strict=True):
        cover = _cover(thing.kind, radius, row, column, draw)[:, :, None]
        colour = (np.array(_RGB[thing.colour]) + draw.uniform(-0.08, 0.08, 3)) * draw.uniform(0.75, 1.15)
        image = image * (1 - cover) + cover * colour * _shade(radius, row, column, draw)[:, :, None]
    seen = gaussian_filter(image * draw.uniform(0.75, 1.1), (0.5, 0.5, 0)) + draw.normal(0, 0.02, image.shape)
    return np.round(255 * seen.clip(0, 1)).astype(np.uint8)


def _places(radii: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.float64]:
    """Rows and columns of the middles, from left to right, so that nothing overlaps or leaves the image."""
    while True:
        found = draw.uniform(radii[:, None] + 1, SIDE - 1 - radii[:, None], (len(radii), 2))
        if len(radii) == 1:
            return found
        (_, left), (_, right) = found
        if right - left >= _APART and np.hypot(*(found[1] - found[0])) >= radii.sum() + 1:
            return found


def _cover(kind: str, radius: float, row: float, column: float, draw: np.random.Generator) -> NDArray[np.float64]:
    """How much of each pixel a shape covers, (S, S); turned by any angle."""
    fine = (np.arange(_FINER * SIDE) + 0.5) / _FINER
    angle = draw.uniform(0, 2 * np.pi)
    across, down = (fine[None] - column) / radius, (fine[:, None] - row) / radius
    u, v = np.cos(angle) * across + np.sin(angle) * down, np.cos(angle) * down - np.sin(angle) * across
    far, sizes = np.hypot(u, v), np.maximum(np.abs(u), np.abs(v))
    inside = {
        "square": sizes < 0.8,
        "disc": far < 0.95,
        "triangle": (v > -0.5) & (np.sqrt(3) * np.abs(u) + v < 1),
        "ring": (far < 1) & (far > 0.55),
        "cross": (sizes < 1) & (np.minimum(np.abs(u), np.abs(v)) < 0.32),
    }[kind]
    return inside.reshape(SIDE, _FINER, SIDE, _FINER).mean(axis=(1, 3))


def _shade(radius: float, row: float, column: float, draw: np.random.Generator) -> NDArray[np.float64]:
    """Light from one side, (S, S)."""
    angle, places = draw.uniform(0, 2 * np.pi), np.arange(SIDE) + 0.5
    towards = (np.cos(angle) * (places[None] - column) + np.sin(angle) * (places[:, None] - row)) / radius
    return 1 + 0.2 * towards.clip(-1, 1)
