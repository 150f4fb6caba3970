"""Scenes of voxels: points lie on surfaces, evenly; no voxel has two labels; no model is in two parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.data.renderer import Mesh
from lowland.data.solids import solid_models
from lowland.data.voxels import PointModels, point_models, surface_points, voxel_scenes
from lowland.errors import DataError, OptionError


def test_points_are_even_by_area() -> None:
    corners = np.array([[0.0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 1, 0], [0, 0, 5], [1, 0, 5], [0, 2, 5]])
    found = surface_points(Mesh(corners, [(0, 1, 2, 3), (4, 5, 6)]), 40_000)
    low = found[:, 2] == 0
    # Areas 3 and 1; the standard error of a share is 0.002.
    assert abs(low.mean() - 0.75) < 0.01
    assert abs(found[low, 0].mean() - 1.5) < 0.03
    assert np.abs(found[~low].mean(axis=0) - (1 / 3, 2 / 3, 5)).max() < 0.02
    assert (found[~low, 0] + found[~low, 1] / 2 <= 1 + 1e-6).all()


def test_a_model_without_area_is_refused() -> None:
    with pytest.raises(DataError, match="no area"):
        surface_points(Mesh(np.zeros((3, 3)), [(0, 1, 2)]), 5)


def test_scenes_have_whole_objects_one_label_each_on_the_ground() -> None:
    models = point_models(solid_models(3), count=2000)
    scenes = voxel_scenes(models, 6, 24, torch.Generator().manual_seed(0))
    assert len(scenes.coordinates.unique(dim=0)) == len(scenes.coordinates)
    assert scenes.coordinates[:, 0].diff().min() >= 0
    assert 0 <= int(scenes.coordinates[:, 1:].min()) <= int(scenes.coordinates[:, 1:].max()) < 24
    for number in scenes.objects.unique():
        own = scenes.objects == number
        assert len(scenes.labels[own].unique()) == len(scenes.coordinates[own, 0].unique()) == 1
        assert scenes.coordinates[own, 3].min() == 0
        across = scenes.coordinates[own, 1:].max(dim=0).values - scenes.coordinates[own, 1:].min(dim=0).values
        assert across.max() <= 0.6 * 24 + 1
    again = voxel_scenes(models, 6, 24, torch.Generator().manual_seed(0))
    assert torch.equal(again.coordinates, scenes.coordinates)


def test_some_scenes_are_numbered_anew() -> None:
    scenes = voxel_scenes(point_models(solid_models(3), count=300), 4, 16, torch.Generator().manual_seed(1))
    some = scenes.some([3, 1])
    for number, scene in enumerate((3, 1)):
        own, there = some.coordinates[:, 0] == number, scenes.coordinates[:, 0] == scene
        assert torch.equal(some.coordinates[own, 1:], scenes.coordinates[there, 1:])
        assert torch.equal(some.labels[own], scenes.labels[there])
    assert some.number == 2


def test_no_model_is_in_two_parts() -> None:
    points = [torch.full((1, 3), float(number)) for number in range(18)]
    models = PointModels(points, torch.arange(18) % 2, ("a", "b"))
    parts = models.split(torch.Generator().manual_seed(0))
    held = {name: [int(one[0, 0]) for one in part.points] for name, part in parts.items()}
    assert sorted(number for part in held.values() for number in part) == list(range(18))
    assert [len(part) for part in held.values()] == [8, 2, 8]
    assert all(
        int(label) == number % 2 for part in held for label, number in zip(parts[part].labels, held[part], strict=True)
    )
    with pytest.raises(OptionError, match="three models"):
        PointModels(points[:4], torch.arange(4) % 2, ("a", "b")).split(torch.Generator())


def test_points_come_from_the_cache_and_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    models = {"boxes": solid_models(1)["boxes"]}
    first = point_models(models, tmp_path, count=50)
    (file,) = tmp_path.glob("*.npz")
    unread = {"boxes": [models["boxes"][0]._replace(read=lambda: pytest.fail("it is in the cache"))]}
    assert torch.equal(point_models(unread, tmp_path, count=50).points[0], first.points[0])
    file.write_bytes(b"damaged")
    assert torch.equal(point_models(models, tmp_path, count=50).points[0], first.points[0])


@pytest.mark.parametrize(("side", "most"), [(7, 4), (16, 1)])
def test_scenes_that_cannot_be(side: int, most: int) -> None:
    with pytest.raises(OptionError, match="Scenes need"):
        voxel_scenes(point_models(solid_models(1), count=9), 1, side, torch.Generator(), most)
