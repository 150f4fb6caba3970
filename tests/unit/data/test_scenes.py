"""Scenes that are drawn: exact labels, parts that share no texture, and a folder as a user has it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowland.data.mask_folder import read_mask_folder
from lowland.data.scenes import _PARTS, CLASSES, draw_scenes, sample_scenes
from lowland.errors import DataError, OptionError


def test_scenes_have_all_classes_at_their_places() -> None:
    scenes = draw_scenes("train", 20, torch.Generator().manual_seed(1), size=(48, 64))
    assert scenes.images.shape == (20, 3, 48, 64)
    assert scenes.images.dtype == torch.uint8
    assert set(scenes.labels.unique().tolist()) == set(range(len(CLASSES)))
    rows = {name: (scenes.labels == k).nonzero()[:, 1].double().mean() for k, name in enumerate(CLASSES)}
    assert rows["sky"] < rows["trees"] < rows["grass"]
    assert rows["window"] < rows["gravel"]


def test_a_window_is_inside_a_wall() -> None:
    scenes = draw_scenes("train", 20, torch.Generator().manual_seed(1), size=(48, 64))
    windows = scenes.labels == CLASSES.index("window")
    above = windows[:, 1:] & ~windows[:, :-1]
    assert set(scenes.labels[:, :-1][above].tolist()) <= {CLASSES.index("wall"), CLASSES.index("sky")}


def test_the_same_generator_draws_the_same_scenes_and_goes_on() -> None:
    generator = torch.Generator().manual_seed(3)
    first, second = (draw_scenes("test", 2, generator, (32, 32)) for _ in range(2))
    assert torch.equal(first.images, draw_scenes("test", 2, torch.Generator().manual_seed(3), (32, 32)).images)
    assert not torch.equal(first.labels, second.labels)


def test_parts_are_strips_that_do_not_overlap() -> None:
    edges = [edge for part in _PARTS.values() for edge in part]
    assert edges == sorted(edges)
    with pytest.raises(OptionError, match="Did you mean 'train'"):
        draw_scenes("trian", 1, torch.Generator())
    with pytest.raises(OptionError, match="at least 32"):
        draw_scenes("train", 1, torch.Generator(), (16, 64))


def test_a_folder_of_scenes_reads_back_as_drawn(tmp_path: Path) -> None:
    place = sample_scenes(tmp_path / "scenes", masks=4, others=2)
    found = read_mask_folder(place)
    scenes = draw_scenes("train", 6, torch.Generator().manual_seed(0))
    assert torch.equal(found.scenes.images, scenes.images)
    assert (found.masked, found.unmasked) == ([0, 1, 2, 3], [4, 5])
    seen = scenes.labels[:4].unique()
    assert found.scenes.classes == tuple(CLASSES[k] for k in seen)
    assert torch.equal(seen[found.scenes.labels[:4]], scenes.labels[:4])
    with pytest.raises(DataError, match="already"):
        sample_scenes(place, 1, 1)
