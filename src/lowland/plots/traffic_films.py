"""Traffic images in colour, several films side by side.

Shape letters: T steps, P frames of context, C channels, H and W rows and columns.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lowland.worlds.driving_costs import CARS, CROP, LANES, OFF_ROAD

_ASPHALT, _VERGE, _LINE = (0.20, 0.22, 0.26), (0.36, 0.45, 0.37), (0.93, 0.94, 0.96)
_OTHERS, _OWN = (0.55, 0.72, 0.92), (0.94, 0.42, 0.08)


class FilmedScene(NamedTuple):
    """Films with a common start.

    Attributes:
        past: (P, C, H, W), the context frames.
        films: (T, C, H, W) each, by name; the first is the truth.
        size: (2,), length and width of the own car in m.
        seconds: (T,), from the start.
    """

    past: Tensor
    films: Mapping[str, Tensor]
    size: Tensor
    seconds: Sequence[float]


def painted(frame: Tensor, size: Tensor) -> np.ndarray:
    """A frame (C, H, W) in colour, (W, H, 3), with the direction of travel to the right and the own car in it."""
    image = np.full((*frame.shape[1:], 3), _ASPHALT)
    height, width = frame.shape[1:]
    for channel, colour in ((OFF_ROAD, _VERGE), (LANES, _LINE), (CARS, _OTHERS)):
        share = frame[channel].clamp(0, 1).numpy()[..., None]
        image = (1 - share) * image + share * np.array(colour)
    half = [float(size[k]) / CROP[k] * side / 2 for k, side in enumerate((height, width))]
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    own = (np.abs(rows - height / 2) < half[0]) & (np.abs(columns - width / 2) < max(half[1], 0.8))
    image[own] = _OWN
    return image[::-1].transpose(1, 0, 2)


def traffic_film(scenes: Sequence[FilmedScene], columns: Sequence[int]) -> Iterator[np.ndarray]:
    """Frames of a film of all scenes in sequence: each frame twice, the last six times.

    Args:
        scenes: the scenes to show.
        columns: number of films in each column.
    """
    bounds = np.cumsum([0, *columns])
    for number, scene in enumerate(scenes):
        last = len(scene.seconds) - 1
        for t in range(-len(scene.past), last + 1):
            panels = [
                (name, painted(scene.past[t] if t < 0 else film[t], scene.size)) for name, film in scene.films.items()
            ]
            when = "what was seen before" if t < 0 else f"{scene.seconds[t]:.1f} s ahead"
            parts = [panels[a:b] for a, b in itertools.pairwise(bounds)]
            sheet = _sheet(parts, 6, f"scene {number + 1}: {when}")
            for _ in range(2 if t < last else 6):
                yield sheet


def traffic_strips(scene: FilmedScene) -> bytes:
    """A PNG with one row per film and up to five times as columns."""
    last = len(scene.seconds)
    times = sorted({1, *(max(1, last * k // 4) for k in (1, 2, 3, 4))})
    columns = [
        [(f"{name}, {scene.seconds[step - 1]:.1f} s", painted(film[step - 1], scene.size))
         for name, film in scene.films.items()]
        for step in times
    ]  # fmt: skip
    file = io.BytesIO()
    Image.fromarray(_sheet(columns, 4)).save(file, "PNG")
    return file.getvalue()


def _sheet(columns: Sequence[Sequence[tuple[str, np.ndarray]]], scale: int, title: str = "") -> np.ndarray:
    """Images (W, H, 3) in columns on white, enlarged, each with its name above: (rows, columns, 3) uint8."""
    high, wide = (scale * side for side in columns[0][0][1].shape[:2])
    header, gap = 18, 12
    shape = (max(map(len, columns)) * (high + header + 6), len(columns) * (wide + gap) - gap, 3)
    sheet = np.full(shape, 255, np.uint8)
    texts = [((8, shape[0] - 60), title, 22)] if title else []
    for column, panels in enumerate(columns):
        left = column * (wide + gap)
        for row, (name, picture) in enumerate(panels):
            top = row * (high + header + 6) + header
            large = np.rint(255 * picture).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
            sheet[top : top + high, left : left + wide] = large
            texts.append(((left, top - header + 2), name, 12))
    image = Image.fromarray(sheet)
    for place, text, size in texts:
        ImageDraw.Draw(image).text(place, text, fill=(40, 44, 52), font=_font(size))
    return np.array(image)


@functools.cache
def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)
