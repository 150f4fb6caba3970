"""Pictures of blocks and their labels."""

from __future__ import annotations

import pytest
import torch

from lowland.data.block_scenes import CELL, CLASSES, SIDE, draw_blocks, labels_of, scenes_of
from lowland.errors import OptionError, ShapeError


def test_no_two_blocks_share_a_column_or_a_row() -> None:
    drawn = draw_blocks(20, torch.Generator().manual_seed(0))
    assert drawn.images.shape == (20, 3, SIDE, SIDE)
    for scene in drawn.scenes:
        assert len({block.column for block in scene}) == len({block.row for block in scene}) == len(scene)
        assert [block.column for block in scene] == sorted(block.column for block in scene)


def test_labels_say_all_and_places_without_a_block_are_floor() -> None:
    drawn = draw_blocks(10, torch.Generator().manual_seed(1))
    labels = labels_of(drawn.scenes)
    assert scenes_of(labels) == drawn.scenes
    assert int(labels.max()) < CLASSES
    spread = drawn.pixels().unfold(2, CELL, CELL).unfold(3, CELL, CELL).std(dim=(1, 4, 5))
    assert float(spread[labels > 0].min()) > float(spread[labels == 0].max())


@pytest.mark.parametrize("options", [{"count": 0}, {"least": 0}, {"most": 11}, {"least": 5, "most": 4}])
def test_numbers_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="1 to 10 blocks"):
        draw_blocks(**{"count": 1, **options}, generator=torch.Generator())


def test_labels_of_another_kind() -> None:
    with pytest.raises(ShapeError, match="Labels must be"):
        scenes_of(torch.full((1, 10, 10), CLASSES))
