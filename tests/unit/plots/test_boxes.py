"""Pictures of what was found."""

from __future__ import annotations

import io

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from lowland.errors import ShapeError
from lowland.plots.boxes import found_boxes, heat_maps
from lowland.plots.style import BLUE, ORANGE, PAPER


def test_right_wrong_and_missed_boxes_differ() -> None:
    boxes = torch.tensor([[1.0, 2, 6, 7], [8.0, 8, 12, 15]])
    masks = torch.zeros(2, 16, 16)
    masks[0, 2:7, 1:6] = 1.0
    drawn = found_boxes(
        [torch.rand(3, 16, 16)], [boxes], [[True, False]], [torch.tensor([[0.0, 10, 4, 14]])], masks=[masks]
    )
    drawn.savefig(io.BytesIO(), format="png")
    patches = [patch for patch in drawn.axes[0].patches if isinstance(patch, Rectangle)]
    assert [to_hex(patch.get_edgecolor()) for patch in patches] == [PAPER, BLUE, ORANGE]
    # The edge of the first pixel is at −0.5.
    assert patches[1].get_bbox().extents.tolist() == [0.5, 1.5, 5.5, 6.5]
    assert len(drawn.axes[0].collections) == 1


def test_images_without_answers_are_shown() -> None:
    drawn = found_boxes([torch.rand(1, 8, 8)] * 3, [torch.zeros(0, 4)] * 3, [[]] * 3, columns=2)
    assert len(drawn.axes) == 4
    assert not drawn.axes[3].axison


def test_heat_of_each_scale_stands_beside_the_image() -> None:
    drawn = heat_maps([torch.rand(1, 16, 16)] * 2, [[torch.rand(4, 4), torch.rand(2, 2)]] * 2, [4, 8])
    assert [ax.get_title() for ax in drawn.axes[:3]] == ["", "cells of 4 pixels", "cells of 8 pixels"]
    assert drawn.axes[1].images[0].get_array().shape == (4, 4)


def test_pictures_that_cannot_be() -> None:
    with pytest.raises(ShapeError, match="Each image needs boxes"):
        found_boxes([], [], [])
    with pytest.raises(ShapeError, match="Each image needs boxes"):
        found_boxes([torch.rand(1, 8, 8)], [], [[]])
    with pytest.raises(ShapeError, match="one map of each scale"):
        heat_maps([torch.rand(1, 8, 8)], [[torch.rand(2, 2)]], [4, 8])
