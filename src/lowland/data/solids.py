"""Boxes, cylinders, cones, balls and rings as 3-D models, which need no file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lowland.data.renderer import Mesh
from lowland.data.stereo_objects import Model
from lowland.files import fingerprint

KINDS = ("boxes", "cylinders", "cones", "balls", "rings")
_SIDES = 24


def solid_models(count: int) -> dict[str, list[Model]]:
    """So many models of each kind, each with its own proportions, which its number decides.

    >>> solid_models(2)["cones"][1].read().vertices.shape
    (72, 3)
    """
    return {kind: [_model(kind, number) for number in range(count)] for kind in KINDS}


def _model(kind: str, number: int) -> Model:
    mesh = _solid(kind, number)
    return Model(f"{kind}/{number}", kind, fingerprint(mesh.vertices, mesh.faces), lambda: mesh)


def _solid(kind: str, number: int) -> Mesh:
    draw = np.random.default_rng([KINDS.index(kind), number])
    wide, high = draw.uniform(0.5, 1.0), draw.uniform(0.4, 1.4)
    half = np.linspace(-np.pi / 2, np.pi / 2, 13)
    whole = np.linspace(0, 2 * np.pi, 13)
    thick = draw.uniform(0.1, 0.3)
    profile = {
        "boxes": [(0, -high), (wide, -high), (wide, high), (0, high)],
        "cylinders": [(0, -high), (wide, -high), (wide, high), (0, high)],
        "cones": [(0, -high), (wide, -high), (0, high)],
        "balls": list(zip(wide * np.cos(half), 0.9 * wide * np.sin(half), strict=True)),
        "rings": list(zip(wide + thick * np.cos(whole), thick * np.sin(whole), strict=True)),
    }[kind]
    return _turned(profile, 4 if kind == "boxes" else _SIDES)


def _turned(profile: Sequence[tuple[float, float]], sides: int) -> Mesh:
    """A profile of radii and heights, turned about the upright axis."""
    angle = np.arange(sides) * 2 * np.pi / sides
    rows: list[NDArray[np.float64]] = [
        np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(sides, height)], axis=1)
        for radius, height in profile
    ]
    faces = []
    for row in range(len(profile) - 1):
        for side in range(sides):
            after = (side + 1) % sides
            low, high = row * sides, (row + 1) * sides
            faces.append((low + side, low + after, high + after, high + side))
    return Mesh(np.concatenate(rows), faces)
