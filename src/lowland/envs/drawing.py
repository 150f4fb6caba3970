"""Bird's-eye pictures of traffic for people: asphalt, markings, coloured cars, and the trail of the own car.

Shape letters: N points of an outline, T steps.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from lowland.envs.scene import Scene
from lowland.errors import OptionError
from lowland.words import printable

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_VERGE, _ASPHALT, _LINE, _EDGE = (38, 46, 42), (52, 56, 64), (206, 210, 216), (236, 200, 96)
_CARS: tuple[Colour, ...] = (
    (150, 162, 178), (110, 128, 152), (184, 190, 196), (92, 108, 128), (132, 140, 146), (168, 156, 140),
)  # fmt: skip
_OWN, _CRASHED, _DONE, _GLASS, _TEXT = (255, 138, 48), (232, 60, 60), (86, 196, 120), (34, 40, 50), (240, 242, 245)
_STATUS = {"reached": _DONE, "collision": _CRASHED, "off road": _CRASHED, "time": (224, 190, 80)}
_FINER = 2  # pictures are drawn at twice the size and averaged, for anti-aliasing
_TURN = np.repeat(np.arange(4) * math.pi / 2, 4) + np.tile(np.linspace(0, math.pi / 2, 4), 4)
_ROUND = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)  # (16, 2), the four round corners of an outline
_SIDES = np.repeat([(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)], 4, axis=0)
_HEADER = 0.12  # fraction of the height for a line of text


@dataclass(frozen=True)
class Own:
    """The own car in one picture.

    Args:
        pose: x, y, heading (2), speed.
        size: length and width in metres.
        vehicle: its number in the scene, so that it is not drawn again among the others.
        trail: (N, 2), its past positions.
        label: text in the corner, such as the method's name.
        reason: how the episode ended, or "".
    """

    pose: npt.NDArray[np.float64]
    size: tuple[float, float]
    vehicle: int
    trail: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    label: str = ""
    reason: str = ""


def draw(scene: Scene, frame: float, own: Own, size: tuple[int, int] = (1280, 272), metres: float = 130.0) -> Picture:
    """A picture (height, width, 3) uint8 of the road around the own car, from left to right.

    Args:
        scene: the log.
        frame: counted from the first of the log; positions between two frames are interpolated.
        own: the highlighted car; the view keeps it at two fifths of the width.
        size: width and height in pixels.
        metres: length of road shown over the width.

    Raises:
        OptionError: for a size without pixels.
    """
    width, height = size
    if width < 16 or height < 16 or not metres > 0:
        raise OptionError(f"A picture needs at least 16 x 16 pixels and more than 0 m, not {size} and {metres} m.")
    road = scene.tracks.road
    scale = _FINER * width / metres
    begin = own.pose[0] - 0.4 * metres
    # The road, or the car if the road is too wide, is centred below the line of text.
    fits = (road.left - road.right) * scale <= (1 - _HEADER) * height * _FINER
    middle = (road.right + road.left) / 2 if fits else own.pose[1]
    top = middle + (1 + _HEADER) * height * _FINER / scale / 2
    image = Image.new("RGB", (width * _FINER, height * _FINER), _VERGE)
    pen = ImageDraw.Draw(image)

    def at(points: Any) -> list[tuple[float, float]]:
        return [*map(tuple, ((np.asarray(points) - (begin, top)) * (scale, -scale)).tolist())]

    _road(pen, at, road.edges, begin, metres, scale)
    trail = at(np.concatenate([own.trail, own.pose[None, :2]])) if len(own.trail) else []
    for k, (start, stop) in enumerate(itertools.pairwise(trail)):
        share = (k + 1) / len(trail)
        pen.line([start, stop], fill=_mix(_ASPHALT, _OWN, 0.15 + 0.6 * share), width=round(0.45 * scale))
    for pose, length, breadth, number in _others(scene, frame, own.vehicle):
        if -length < pose[0] - begin < metres + length:
            _car(pen, at, pose, (length, breadth), _CARS[number * 7 % len(_CARS)], scale)
    _car(pen, at, own.pose, own.size, _CRASHED if own.reason in ("collision", "off road") else _OWN, scale)
    pen.rectangle([0, 0, width * _FINER, _HEADER * height * _FINER], fill=_VERGE)
    image = image.reduce(_FINER)
    _write(ImageDraw.Draw(image), own, width, height)
    return np.asarray(image)


def _road(
    pen: ImageDraw.ImageDraw, at: Any, edges: tuple[float, ...], begin: float, metres: float, scale: float
) -> None:
    end = begin + metres
    pen.rectangle([*at([(begin, edges[-1] + 0.6)])[0], *at([(end, edges[0] - 0.6)])[0]], fill=_ASPHALT)
    for edge in edges:
        if edge in (edges[0], edges[-1]):
            pen.line(at([(begin, edge), (end, edge)]), fill=_EDGE, width=max(2, round(0.2 * scale)))
            continue
        for dash in np.arange(math.floor(begin / 9) * 9, end, 9.0):
            pen.line(at([(dash, edge), (dash + 3, edge)]), fill=_LINE, width=max(2, round(0.15 * scale)))


def _others(scene: Scene, frame: float, vehicle: int) -> list[tuple[npt.NDArray[np.float64], float, float, int]]:
    """Pose, length, width and number of all other cars, interpolated between two frames."""
    first = min(max(int(frame), 0), scene.frames - 1)
    share, start = frame - first, int(scene.offset[first])
    found = []
    for place in range(start, start + int(scene.count[first])):
        number = int(scene.owner[place])
        if number == vehicle:
            continue
        here = scene.table[place].double().cpu().numpy()
        row = int(scene.row[place])
        if share > 0 and row + 1 < int(scene.stop[row]):
            later = scene.table[scene.place[row + 1]].double().cpu().numpy()
            here = here + share * (later - here)
        found.append((here[[0, 1, 4, 5]], float(here[6]), float(here[7]), number))
    return found


def _car(
    pen: ImageDraw.ImageDraw,
    at: Any,
    pose: npt.NDArray[np.float64],
    size: tuple[float, float],
    paint: Colour,
    scale: float,
) -> None:
    length, width = size
    pen.polygon(at(_outline(pose, (0.25, -0.25), length, width, 0.5)), fill=_mix(_ASPHALT, (0, 0, 0), 0.45))
    body = at(_outline(pose, (0, 0), length, width, 0.5))
    pen.polygon(body, fill=paint)
    pen.line([*body, body[0]], fill=_mix(paint, (0, 0, 0), 0.35), width=max(1, round(scale * 0.08)))
    pen.polygon(at(_outline(pose, (0.14 * length, 0), 0.16 * length, 0.8 * width, 0.15)), fill=_GLASS)
    pen.polygon(at(_outline(pose, (-0.33 * length, 0), 0.1 * length, 0.76 * width, 0.12)), fill=_GLASS)


def _outline(
    pose: npt.NDArray[np.float64], shift: tuple[float, float], length: float, width: float, radius: float
) -> npt.NDArray[np.float64]:
    """(N, 2), a rectangle with rounded corners, shifted forward and to the left, in metres."""
    radius = min(radius, length / 2, width / 2)
    local = _SIDES * (length / 2 - radius, width / 2 - radius) + _ROUND * radius + shift
    dx, dy = pose[2:4]
    return pose[:2] + local @ np.array([[dx, dy], [-dy, dx]])


@functools.cache
def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)


def _write(pen: ImageDraw.ImageDraw, own: Own, width: int, height: int) -> None:
    line = _HEADER * height
    font = _font(max(9, round(0.72 * line)))
    speed = f"{3.6 * own.pose[4]:.0f} km/h"
    for text, across, anchor, colour in (
        (printable(own.label), line / 2, "lm", _TEXT),
        (speed, width - line / 2, "rm", _TEXT),
        (own.reason, width / 2, "mm", _STATUS.get(own.reason, _TEXT)),
    ):
        if text:
            pen.text((across, line / 2), text, fill=colour, font=font, anchor=anchor)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    """A mixture of two colours."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue
