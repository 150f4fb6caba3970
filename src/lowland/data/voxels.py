"""Scenes of voxels: the surfaces of several 3-D models in one volume, each voxel labelled by what its model is.

Shape letters: P points, N voxels, S side of a volume in voxels.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.bounded import read_arrays
from lowland.data.renderer import Mesh
from lowland.data.stereo_objects import Model
from lowland.errors import DataError, OptionError
from lowland.files import fingerprint, replacing

POINTS, MODELS = 6000, 30
"""Points on the surface of a model, and models of each category at most."""
_TRIES, _SIZES = 8, (0.4, 0.6)


def surface_points(mesh: Mesh, count: int, seed: int = 0) -> NDArray[np.float32]:
    """Points (P, 3) on a mesh, evenly by area: faces are cut into triangles about their first vertex.

    Raises:
        DataError: if its faces have no area.

    >>> square = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), [(0, 1, 2, 3)])
    >>> surface_points(square, 10000).mean(axis=0).round(1).tolist()
    [0.5, 0.5, 0.0]
    """
    draw = np.random.default_rng(seed)
    thirds = [(face[0], face[at], face[at + 1]) for face in mesh.faces for at in range(1, len(face) - 1)]
    corners = mesh.vertices[np.array(thirds)]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.linalg.norm(np.cross(first, second), axis=1)
    if not 0 < area.sum() < math.inf:
        raise DataError("A model whose faces have no area has no surface to take points from.")
    chosen = draw.choice(len(area), count, p=area / area.sum())
    # The far half of the parallelogram is folded back onto the triangle.
    u, v = draw.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return (corners[chosen, 0] + u * first[chosen] + v * second[chosen]).astype(np.float32)


class PointModels(NamedTuple):
    """Points (P, 3) of each model in a ball of diameter 1, the third number upwards; labels, and names of classes."""

    points: list[Tensor]
    labels: Tensor
    classes: tuple[str, ...]

    def split(self, generator: torch.Generator) -> dict[str, PointModels]:
        """Half of the models of each category to learn from, a sixth for validation, the others for tests.

        Raises:
            OptionError: for fewer than three models of a category.
        """
        rows: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
        for label, kind in enumerate(self.classes):
            own = (self.labels == label).nonzero()[:, 0]
            own, train, held = own[torch.randperm(len(own), generator=generator)], len(own) // 2, max(1, len(own) // 6)
            if train < 1 or train + held >= len(own):
                raise OptionError(f"A split needs three models of each category, but of {kind} there are {len(own)}.")
            for name, some in zip(rows, own.split([train, held, len(own) - train - held]), strict=True):
                rows[name] += some.tolist()
        return {
            name: PointModels([self.points[row] for row in some], self.labels[some], self.classes)
            for name, some in rows.items()
        }


def point_models(
    models: Mapping[str, Sequence[Model]], cache: Path | None = None, count: int = POINTS, most: int = MODELS
) -> PointModels:
    """Points on models, read from a cache where they are there.

    Args:
        models: of each category.
        cache: folder for the points; None keeps none.
        count: P.
        most: models of each category, the first ones.

    Raises:
        DataError: for a model that cannot be read.

    >>> from lowland.data.solids import solid_models
    >>> made = point_models(solid_models(2), count=100)
    >>> len(made.points), made.points[0].shape, made.labels[:3].tolist()
    (10, torch.Size([100, 3]), [0, 0, 1])
    """
    chosen = [(label, one) for label, own in enumerate(models.values()) for one in own[:most]]
    points = [torch.from_numpy(_points(model, count, cache)) for _, model in chosen]
    return PointModels(points, torch.tensor([label for label, _ in chosen]), tuple(models))


def _points(model: Model, count: int, cache: Path | None) -> NDArray[np.float32]:
    path = cache and cache / f"{fingerprint(model.path, model.checksum, count)[:20]}.npz"
    if path and path.is_file():
        with contextlib.suppress(DataError, KeyError):  # damaged: it is made again
            found = read_arrays(path, path.name)["points"]
            if found.shape == (count, 3) and found.dtype == np.float32:
                return found
    made = surface_points(model.read().placed(), count, zlib.crc32(model.path.encode()))
    if path:
        with replacing(path, DataError) as file:
            np.savez_compressed(file, points=made)
    return made


class VoxelScenes(NamedTuple):
    """Voxels of scenes, in order of their scenes.

    `coordinates` (N, 4) int64, the scene, x, y and z; `labels` (N,) int64; `objects` (N,) int64, a number for each
    object of all scenes; `side` S; `classes` the names of the labels.
    """

    coordinates: Tensor
    labels: Tensor
    objects: Tensor
    side: int
    classes: tuple[str, ...]

    @property
    def number(self) -> int:
        """Scenes."""
        return int(self.coordinates[-1, 0]) + 1

    def some(self, scenes: Sequence[int]) -> VoxelScenes:
        """Some of the scenes, in this order, numbered anew."""
        starts = torch.searchsorted(self.coordinates[:, 0].contiguous(), torch.arange(self.number + 1)).tolist()
        rows = torch.cat([torch.arange(starts[one], starts[one + 1]) for one in scenes])
        sizes = torch.tensor([starts[one + 1] - starts[one] for one in scenes])
        places = self.coordinates[rows].clone()
        places[:, 0] = torch.arange(len(scenes)).repeat_interleave(sizes)
        return self._replace(coordinates=places, labels=self.labels[rows], objects=self.objects[rows])


def voxel_scenes(models: PointModels, count: int, side: int, generator: torch.Generator, most: int = 4) -> VoxelScenes:
    """Scenes of two to four models that stand on the ground of a cube, each turned about the upright axis at random.

    A model's diagonal is 0.4 to 0.6 of the side. It is put at another place if it would share a voxel with one before,
    and left out after eight tries, so no label is in doubt. Categories are equally likely.

    Args:
        models: to draw from.
        count: scenes.
        side: S.
        generator: of all that is random.
        most: objects of a scene.

    Raises:
        OptionError: for a side below 8 voxels or a scene of fewer than two objects.

    >>> from lowland.data.solids import solid_models
    >>> scenes = voxel_scenes(point_models(solid_models(2)), 3, 16, torch.Generator().manual_seed(0))
    >>> scenes.number, len(scenes.coordinates) == len(scenes.coordinates.unique(dim=0))
    (3, True)
    """
    if side < 8 or most < 2:
        raise OptionError(f"Scenes need 8 voxels along a side and two objects, but these are {side} and {most}.")
    own = [(models.labels == label).nonzero()[:, 0] for label in range(len(models.classes))]

    def draw(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    parts, labels, objects, number = [], [], [], 0
    for scene in range(count):
        filled = torch.zeros(side, side, side, dtype=torch.bool)
        for _ in range(2 + draw(most - 1)):
            label = draw(len(own))
            points = models.points[int(own[label][draw(len(own[label]))])]
            turn, scale = torch.rand(2, generator=generator).tolist()
            angle, size = 2 * math.pi * turn, side * (_SIZES[0] + (_SIZES[1] - _SIZES[0]) * scale)
            matrix = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            moved = size * torch.cat([points[:, :2] @ matrix.T, points[:, 2:]], dim=1)
            moved = moved - moved.min(dim=0).values
            room = side - moved.max(dim=0).values
            for _ in range(_TRIES):
                shift = torch.rand(3, generator=generator) * room * torch.tensor([1.0, 1, 0])
                places = (moved + shift).long().clamp_(max=side - 1).unique(dim=0)
                if not bool(filled[tuple(places.unbind(dim=1))].any()):
                    filled[tuple(places.unbind(dim=1))] = True
                    parts.append(torch.nn.functional.pad(places, (1, 0), value=scene))
                    labels.append(torch.full((len(places),), label))
                    objects.append(torch.full((len(places),), number))
                    number += 1
                    break
    return VoxelScenes(torch.cat(parts), torch.cat(labels), torch.cat(objects), side, models.classes)
