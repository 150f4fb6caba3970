"""Training on fresh scenes: what batches hold, that masks learn, and that the finder stays as it is."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lowland.data.pasted import PastedScenes, ellipse
from lowland.energies.box_finder import BoxFinder
from lowland.energies.masks import Masks
from lowland.training.finding import inside_boxes, mask_batch, scene_batch, train_finder, train_masks

DISC = torch.cat([torch.ones(1, 1, 16, 16), ellipse(16, 16)[None, None]], dim=1)


@pytest.fixture
def scenes() -> PastedScenes:
    """Bright discs on dark photographs."""
    behind = 0.2 * torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return PastedScenes(DISC, behind, side=32, sizes=(10, 16), most=2, decoys=1)


def small(turned: bool = False) -> BoxFinder:
    return BoxFinder(32, 1, turned, widths=(4, 8), features=6)


@pytest.mark.parametrize("turned", [False, True])
def test_a_batch_holds_the_boxes_of_its_scenes(scenes: PastedScenes, turned: bool) -> None:
    finder, drawn = small(turned), [scenes.draw(number) for number in range(5)]
    batch = scene_batch(finder, drawn)
    finder.check(x=batch.x, y=batch.y)
    for found, scene in zip(finder.cells.read(batch.y["heat"], batch.y["numbers"]), drawn, strict=True):
        assert len(found.boxes) == len(scene.boxes)
        assert {round(float(value), 3) for value in found.angles} == (
            {round(float(value), 3) for value in scene.angles} if turned else set()
        )


def test_masks_in_moved_boxes_are_those_of_the_scene(scenes: PastedScenes) -> None:
    """A disc fills π / 4 of its box. In a box moved by a tenth or so it fills as much of what is not cut off."""
    drawn = [scenes.draw(number) for number in range(12)]
    batch = mask_batch(small(), drawn, 14, list(range(12)))
    assert len(batch.y) == len(batch.x) == sum(len(scene.boxes) for scene in drawn)
    assert set(batch.y.unique().tolist()) == {0.0, 1.0}
    share = batch.y.mean(dim=(1, 2))
    assert bool(((share > 0.45) & (share <= 1)).all())
    again = mask_batch(small(), drawn, 14, list(range(12)))
    assert torch.equal(batch.y, again.y)


def test_what_masks_see_ends_with_the_image(scenes: PastedScenes) -> None:
    scene = scenes.draw(0)
    seen = inside_boxes(small(), scene.image[None], [torch.tensor([[0.0, 0, 32, 32]])], 32)
    assert seen.shape == (1, 7, 32, 32)
    # Two points in a bin of one pixel, with linear interpolation: a blur by a quarter of a pixel.
    assert float((seen[0, 6] - scene.image[0]).abs().mean()) < 0.02


def test_masks_learn_and_the_finder_stays(scenes: PastedScenes) -> None:
    finder = small().train()
    before = {name: value.clone() for name, value in finder.state_dict().items()}
    masks = Masks(7, 14, 8)
    line = train_masks(masks, finder, scenes, 40, 8, 1e-2).history["loss/energy"].values
    # Less than the best mask that does not look: of one probability for all pixels, the share that is inside.
    share = float(mask_batch(finder, [scenes.draw(number) for number in range(20)], 14, list(range(20))).y.mean())
    blind = -(14**2) * (share * math.log(share) + (1 - share) * math.log(1 - share))
    assert line[-1] < 0.9 * blind < line[0]
    assert all(torch.equal(before[name], value) for name, value in finder.state_dict().items())
    assert finder.training


def test_masks_learn_from_scenes_behind_those_of_the_finder(
    scenes: PastedScenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    draw = PastedScenes.draw
    monkeypatch.setattr(PastedScenes, "draw", lambda self, number: seen.append(number) or draw(self, number))
    finder = small()
    train_finder(finder, scenes, 3, 2)
    count = len(seen)
    train_masks(Masks(7, 14, 8), finder, scenes, 2, 2, first=6)
    assert set(seen[:count]) == set(range(6))
    assert set(seen[count:]) == set(range(6, 10))


def test_a_folder_to_resume_from_changes_nothing(scenes: PastedScenes, tmp_path: Path) -> None:
    whole, again = small(), small()
    train_finder(whole, scenes, 4, 2, run=tmp_path / "whole")
    train_finder(again, scenes, 4, 2)
    for one, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
