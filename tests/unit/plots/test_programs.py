"""Programs as trees."""

from __future__ import annotations

import pytest
import torch

from lowland.data.block_programs import parsed
from lowland.errors import DataError, ShapeError
from lowland.plots.programs import program_tree


def test_branches_stand_side_by_side_and_a_wrong_answer_says_what_is_right() -> None:
    program = parsed("greater count filter[red] scene count scene")
    drawn = program_tree(torch.rand(3, 8, 8), "more of them?", program, "yes", "no")
    places = {text.get_text(): text.get_position() for text in drawn.axes[1].texts}
    assert places["greater"] == (0.5, 0)
    assert places["filter[red]"] == (0.0, 2)
    assert [text.get_position() for text in drawn.axes[1].texts if text.get_text() == "count"] == [(0.0, 1), (1.0, 1)]
    assert drawn.axes[0].get_xlabel() == "yes (right: no)"


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ShapeError, match="An image of a question"):
        program_tree(torch.rand(8, 8), "", parsed("count scene"), "1", "1")
    with pytest.raises(DataError, match="no tree"):
        program_tree(torch.rand(3, 8, 8), "", parsed("count"), "1", "1")
