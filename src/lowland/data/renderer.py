"""Renders stereo pairs of 3-D models in grey, on the CPU.

Shape letters: N pairs, V vertices, S side of an image in pixels.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowland.errors import DataError, UnsupportedError

AZIMUTHS = tuple(range(0, 360, 20))
"""Degrees around the object, as in small NORB."""
ELEVATIONS = tuple(range(30, 75, 5))
"""Degrees above the ground, as in small NORB."""
LIGHTS = ((1, 1, 2), (-1, 1, 2), (1, -1, 2), (-1, -1, 2), (0, 0, 1), (2, 0, 1))
"""Directions that light comes from, x and y along the ground: six, as in small NORB."""
_APART, _DISTANCE, _FIELD, _FINER, _GREY = 5.0, 2.0, 30.0, 2, 0.8
_SHADING = {"lightAmbientCoeff": 0.35, "lightDiffuseCoeff": 0.6, "lightSpecularCoeff": 0.05, "shadow": 0}
SETTINGS = (LIGHTS, _APART, _DISTANCE, _FIELD, _FINER, _GREY, _SHADING)
"""All that an image depends on beside the mesh, the view and the size."""


class Mesh(NamedTuple):
    """`vertices` (V, 3), the third upwards, and `faces`, each at least three numbers of vertices."""

    vertices: NDArray[np.float64]
    faces: list[tuple[int, ...]]

    def placed(self) -> Mesh:
        """The same in a ball of diameter 1 around the origin.

        >>> mesh = Mesh(np.array([[0.0, 0, 0], [3, 0, 0], [3, 4, 0]]), [(0, 1, 2)])
        >>> mesh.placed().vertices.tolist()
        [[-0.3, -0.4, 0.0], [0.3, -0.4, 0.0], [0.3, 0.4, 0.0]]
        """
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        return self._replace(vertices=(self.vertices - (low + high) / 2) / np.linalg.norm(high - low))


class View(NamedTuple):
    """From where a model is seen, in degrees, and the number of its light in `LIGHTS`."""

    azimuth: int
    elevation: int
    light: int


def read_obj(text: str, name: str) -> Mesh:
    r"""The vertices and faces of an OBJ file, whose second axis points upwards.

    Raises:
        DataError: for a file without faces, a vertex of fewer than three numbers, or numbers that cannot be read or
            are not there.

    >>> read_obj("v 0 0 0\nv 1 0 0\nv 0 2 0\nf 1/7 2 -1", "tiny").faces
    [(0, 1, 2)]
    """
    points: list[tuple[float, ...]] = []
    faces: list[tuple[int, ...]] = []
    try:
        for kind, *words in (line.split() for line in re.findall(r"^(?:v|f)[ \t].*$", text, re.MULTILINE)):
            if kind == "v":
                points.append(tuple(map(float, words[:3])))
            else:
                # A number below zero counts back from the last vertex so far.
                numbers = [int(word.split("/")[0]) for word in words]
                faces.append(tuple(one - 1 if one >= 0 else one + len(points) for one in numbers))
    except ValueError as error:
        raise DataError(f"{name} is no readable OBJ file ({error}).") from error
    if (least := min(map(len, points), default=3)) < 3:
        raise DataError(f"{name} has a vertex of {least} numbers, where three are needed.")
    # Some files have faces of two vertices, which cannot be seen.
    faces = [face for face in faces if len(face) >= 3]
    there = (min(face) >= 0 and max(face) < len(points) for face in faces)
    if not faces or not np.isfinite(points).all() or not all(there):
        raise DataError(f"{name} has no faces, or faces of vertices that are not there.")
    return Mesh(np.array(points)[:, [0, 2, 1]] * (1, -1, 1), faces)


def render(mesh: Mesh, views: Sequence[View], size: int) -> NDArray[np.uint8]:
    """Stereo pairs (N, 2, S, S) of a mesh, left and right eye 5° apart, on white; each at twice the size, and averaged.

    Args:
        mesh: of any size; it is brought to one.
        views: of the N pairs.
        size: S.

    Raises:
        UnsupportedError: without pybullet: `pip install pybullet`.
        DataError: if the mesh cannot be drawn.
    """
    try:
        import pybullet
    except ImportError:
        raise UnsupportedError("Models are rendered by PyBullet: run `pip install pybullet`.") from None
    found = np.empty((len(views), 2, size, size), np.uint8)
    fine = _FINER * size
    lens = pybullet.computeProjectionMatrixFOV(_FIELD, 1, 0.1, 10)
    world = pybullet.connect(pybullet.DIRECT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.obj"
            path.write_text(_as_obj(mesh.placed()))
            shape = pybullet.createVisualShape(
                pybullet.GEOM_MESH, fileName=str(path), rgbaColor=[_GREY] * 3 + [1], physicsClientId=world
            )
            if shape < 0:
                raise DataError("A model could not be drawn: its file was refused by PyBullet.")
            pybullet.createMultiBody(baseVisualShapeIndex=shape, physicsClientId=world)
        for row, view in enumerate(views):
            for eye, turn in enumerate((-_APART / 2, _APART / 2)):
                camera = pybullet.computeViewMatrixFromYawPitchRoll(
                    [0, 0, 0], _DISTANCE, view.azimuth + turn, -view.elevation, 0, 2
                )
                seen = pybullet.getCameraImage(
                    fine, fine, camera, lens, LIGHTS[view.light], renderer=pybullet.ER_TINY_RENDERER,
                    physicsClientId=world, **_SHADING,
                )[2]  # fmt: skip
                grey = np.reshape(seen, (size, _FINER, size, _FINER, 4))[..., :3].mean(axis=(1, 3, 4))
                found[row, eye] = grey.round().astype(np.uint8)
    finally:
        pybullet.disconnect(world)
    return found


def _as_obj(mesh: Mesh) -> str:
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.vertices]
    return "\n".join(lines + ["f " + " ".join(str(one + 1) for one in face) for face in mesh.faces]) + "\n"
