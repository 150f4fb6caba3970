"""Scenes: exact boxes and masks, fresh by number, and nothing that an edge gives away."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.data.boxes import box_of, overlaps
from lowland.data.pasted import PastedScenes, blurred, ellipse, portraits, turned
from lowland.errors import DataError, OptionError, ShapeError

DISC = torch.cat([torch.ones(1, 1, 16, 16), ellipse(16, 16)[None, None]], dim=1)
DARK = torch.zeros(2, 1, 48, 48)


def test_boxes_and_masks_are_of_what_is_seen(generator: torch.Generator) -> None:
    """White discs on black: the pixels that are bright are those of the masks, apart from soft edges and light."""
    scenes = PastedScenes(DISC, DARK, side=48, sizes=(12, 16), decoys=0)
    for number in range(12):
        scene = scenes.draw(number)
        assert 1 <= len(scene.boxes) == len(scene.masks) == len(scene.angles) <= 4
        assert torch.equal(torch.stack([box_of(mask) for mask in scene.masks]), scene.boxes)
        between = overlaps(scene.boxes, scene.boxes)
        assert torch.equal(between, torch.eye(len(between)))
        covered = scene.masks.any(dim=0)
        # Half of the contrast: a disc is lit between 0.5 and 1, the photograph between 0 and 0.4, and blur moves the
        # edge by less than a pixel.
        bright = blurred(scene.image, 1.0)[0] > 0.45
        wrong = (bright != covered).float().mean()
        assert wrong < 0.05, f"scene {number}"
        assert bool(((scene.image >= 0) & (scene.image <= 1)).all())


def test_a_scene_depends_on_its_number_and_seed_alone() -> None:
    photographs = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(3))
    state = torch.get_rng_state()
    one, other = (PastedScenes(DISC, photographs, side=48, sizes=(8, 16), seed=seed) for seed in (1, 2))
    for first, second in zip(one.draw(5), one.draw(5), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(one.draw(5).image, one.draw(6).image)
    assert not torch.equal(one.draw(5).image, other.draw(5).image)
    assert torch.equal(torch.get_rng_state(), state)


def test_varied_scenes_reorder_colours_and_join_photographs() -> None:
    """Photographs of one colour each: plain scenes show one of two colours, varied ones all orders, and two at once."""
    red = torch.tensor([0.9, 0.5, 0.1])[:, None, None].expand(3, 48, 48)
    disc = torch.cat([torch.full((1, 3, 16, 16), 0.5), ellipse(16, 16)[None, None]], dim=1)

    def brightest(varied: bool) -> list[set[int]]:
        scenes = PastedScenes(disc, torch.stack([red, red]), side=48, sizes=(8, 9), most=1, decoys=0, varied=varied)
        drawn = [scenes.draw(number) for number in range(40)]
        # Two pixels of soft edge on each side of the thing are left out.
        far = [blurred(scene.masks.float(), 2.0)[0] == 0 for scene in drawn]
        return [set(scene.image.argmax(dim=0)[away].tolist()) for scene, away in zip(drawn, far, strict=True)]

    assert set.union(*brightest(False)) == {0}
    found = brightest(True)
    assert set.union(*found) == {0, 1, 2}
    assert any(len(one) > 1 for one in found)
    assert any(one == {0} for one in found)


def test_decoys_come_and_are_no_things() -> None:
    """On black photographs but one, decoys are pieces of the bright one; boxes count things only."""
    photographs = torch.cat([DARK, torch.ones(1, 1, 48, 48)])
    black = DISC * torch.tensor([0.0, 1.0])[:, None, None]
    seen = []
    for number in range(30):
        scene = PastedScenes(black, photographs, side=48, sizes=(8, 12), most=1, decoys=3).draw(number)
        assert len(scene.boxes) == 1
        seen.append(float((scene.image > 0.6).float().mean()))
    assert any(0.02 < share < 0.5 for share in seen)


def test_decoys_are_of_another_photograph_than_the_one_behind(generator: torch.Generator) -> None:
    levels = torch.tensor([0.1, 0.2, 0.3, 0.7, 0.8])
    photographs = levels[:, None, None, None].expand(-1, 1, 48, 48)
    parts = PastedScenes(DISC, photographs, side=48, sizes=(8, 12), labels=torch.tensor([0, 0, 0, 1, 1]))
    whole = PastedScenes(DISC, photographs, side=48, sizes=(8, 12))
    for scenes, behind, others in (
        (parts, 1, {0.7, 0.8}),
        (parts, 4, {0.1, 0.2, 0.3}),
        (whole, 1, {0.1, 0.3, 0.7, 0.8}),
    ):
        drawn = {round(float(scenes._decoy(behind, generator)[0, 0, 0]), 3) for _ in range(60)}
        assert drawn == others


def test_angles_are_those_of_the_things() -> None:
    """A bar is turned clockwise by its angle: the direction of its pixels' largest spread."""
    bar = torch.cat([torch.ones(1, 1, 8, 64), torch.ones(1, 1, 8, 64)], dim=1)
    scenes = PastedScenes(bar, torch.zeros(2, 1, 64, 64), side=64, sizes=(40, 40), most=1, decoys=0, turn=60.0)
    for number in range(8):
        scene = scenes.draw(number)
        rows, columns = scene.masks[0].nonzero().double().T
        spread = torch.cov(torch.stack([columns, rows]))
        direction = 0.5 * torch.atan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1])
        # A bar of 40 × 5 pixels whose pixels are whole: half a pixel at its ends is under two degrees.
        assert abs(math.degrees(float(direction - scene.angles[0]))) < 2


def test_turning_by_nothing_and_by_a_right_angle() -> None:
    image = torch.arange(6.0).reshape(1, 2, 3)
    torch.testing.assert_close(turned(image, 0.0), image)
    torch.testing.assert_close(turned(image, math.pi / 2), image.rot90(-1, (1, 2)), atol=1e-5, rtol=0)


def test_blur_keeps_the_mean_and_is_gaussian() -> None:
    from scipy.ndimage import gaussian_filter

    spot = torch.zeros(1, 31, 31)
    spot[0, 15, 15] = 1.0
    found = blurred(spot, 1.5)[0].numpy()
    # Cut off at 2.5 standard deviations, rounded up: what is lost of the Gaussian is below 1.3 %.
    assert abs(found - gaussian_filter(spot[0].numpy(), 1.5)).max() < 0.013 * found.max() * 2
    assert found.sum() == pytest.approx(1.0, abs=1e-5)
    assert blurred(spot, 0.05) is spot


def test_portraits_are_opaque_in_an_ellipse() -> None:
    cutouts = portraits(torch.rand(2, 1, 112, 92))
    share = cutouts[:, 1].mean()
    assert float(share) == pytest.approx(math.pi / 4, abs=0.01)
    assert cutouts[0, 1, 0, 0] == 0
    assert cutouts[0, 1, 56, 46] == 1


def test_scenes_that_cannot_be() -> None:
    with pytest.raises(ShapeError, match=r"cut-outs \(K, C \+ 1, S, S\)"):
        PastedScenes(DISC[:, :1], DARK, side=48)
    with pytest.raises(DataError, match="a cut-out and two photographs, one of them for decoys, but there are 1 and 1"):
        PastedScenes(DISC, DARK[:1], side=48, sizes=(8, 12))
    with pytest.raises(DataError, match="but there are 1 and 1"):
        PastedScenes(DISC, DARK, side=48, sizes=(8, 12), labels=torch.zeros(2))
    with pytest.raises(ShapeError, match=r"a label for each of 2 photographs, but they are of shape \(3,\)"):
        PastedScenes(DISC, DARK, side=48, sizes=(8, 12), labels=torch.zeros(3))
    with pytest.raises(DataError, match="nowhere more than half opaque"):
        PastedScenes(DISC * 0.4, DARK, side=48, sizes=(8, 12))
    for sizes in ((2, 12), (20, 10), (10, 40)):
        with pytest.raises(OptionError, match="do not fit into scenes of 48"):
            PastedScenes(DISC, DARK, side=48, sizes=sizes)
    with pytest.raises(OptionError, match="photographs of 48"):
        PastedScenes(DISC, DARK, side=64, sizes=(8, 12))


def test_things_that_always_fade_are_said() -> None:
    line = torch.zeros(1, 2, 64, 64)
    line[:, :, 32, :] = 1.0
    line[:, :, :, 32] = 1.0
    with pytest.raises(DataError, match="all cut-outs fade"):
        PastedScenes(line, torch.zeros(2, 1, 64, 64), side=64, sizes=(8, 8)).draw(0)
