"""Sets of scenes: parts share no person, and no photograph."""

from __future__ import annotations

import pytest
import torch

from lowland.data import scene_sets as module
from lowland.data.images import Images
from lowland.data.scene_sets import PARTS, scene_sets


def images_of(labels: torch.Tensor, *shape: int) -> torch.Tensor:
    """Images whose every pixel says which label they have."""
    return (labels / 100)[:, None, None, None].expand(-1, *shape).contiguous()


@pytest.fixture
def _people(monkeypatch: pytest.MonkeyPatch) -> None:
    person, photo = torch.arange(40).repeat(2), torch.arange(9)
    faces = Images(
        "faces", "here", tuple(map(str, range(40))), *(
            part for rows in (person[:60], person[60:70], person[70:]) for part in (images_of(rows, 1, 20, 16), rows)
        )
    )  # fmt: skip
    behind = Images(
        "backgrounds", "here", tuple(map(str, range(9))), *(
            part for rows in (photo[:5], photo[5:7], photo[7:]) for part in (images_of(rows, 3, 128, 128), rows)
        )
    )  # fmt: skip
    monkeypatch.setattr(module, "faces", lambda: faces)
    monkeypatch.setattr(module, "backgrounds", lambda: behind)


@pytest.mark.usefixtures("_people")
def test_no_person_is_in_two_parts_and_each_is_tested_once() -> None:
    tested = []
    for seed in range(5):
        sets = scene_sets("faces", seed)
        people = {part: set((100 * sets[part].cutouts[:, 0, 0, 0]).round().int().tolist()) for part in PARTS}
        assert sum(map(len, people.values())) == len(set.union(*people.values())) == 40
        tested += people["test"]
        levels = [set((100 * sets[part].photographs[:, 0, 0, 0]).round().int().tolist()) for part in PARTS]
        assert levels == [{0, 1, 2, 3, 4}, {5, 6}, {7, 8}]
        assert [sets[part].different for part in PARTS] == [5, 2, 2]
        assert len({sets[part].seed for part in PARTS}) == 3
    assert sorted(tested) == list(range(40))


@pytest.mark.usefixtures("_people")
def test_seeds_far_apart_fold_people_anew() -> None:
    first, other = (
        set((100 * scene_sets("faces", seed)["test"].cutouts[:, 0, 0, 0]).round().int().tolist()) for seed in (0, 1000)
    )
    assert len(first) == len(other) == 8
    assert first != other


def test_seeds_of_parts_never_meet() -> None:
    seeds = [scene_sets("digits", seed)[part].seed for seed in range(2) for part in PARTS]
    assert len(set(seeds)) == len(seeds)
