"""Lines with their cuts and what was read in them."""

from __future__ import annotations

import io

import pytest
import torch
from matplotlib.colors import to_hex

from lowland.errors import DomainError, ShapeError
from lowland.plots.lines import lines_with_cuts
from lowland.plots.style import INK, ORANGE

LINES = [torch.rand(32, width) for width in (40, 90, 60)]
CUTS = [torch.tensor([2, 20, 38]), torch.tensor([5, 80]), torch.tensor([3, 57])]


def test_a_wrong_text_is_orange_and_followed_by_the_right_one() -> None:
    confidence = torch.tensor([0.991, 0.4, 1.0])
    drawn = lines_with_cuts(LINES, CUTS, ["12", "$7$", "5"], confidence, truths=["12", "1", "5"])
    drawn.savefig(io.BytesIO(), format="png")
    labels = [ax.xaxis.label for ax in drawn.axes[:3]]
    assert [label.get_text() for label in labels] == ["12  99 %", r"\$7\$, not 1  40 %", "5  100 %"]
    assert [to_hex(label.get_color()) for label in labels] == [INK, ORANGE, INK]
    cut = drawn.axes[0].collections[0].get_paths()
    assert [float(path.vertices[0, 0]) for path in cut] == [1.5, 19.5, 37.5]
    # One scale for all: as many columns across each panel.
    across = [ax.get_xlim()[1] - ax.get_xlim()[0] for ax in drawn.axes[:3]]
    assert across == pytest.approx([90] * 3)


def test_lines_without_texts() -> None:
    assert [ax.get_xlabel() for ax in lines_with_cuts(LINES, CUTS, columns=1).axes] == ["", "", ""]


def test_lines_that_do_not_fit_together() -> None:
    for arguments in (([], []), (LINES, CUTS[:2]), (LINES, CUTS, ["1"]), (LINES, CUTS, (), torch.ones(2))):
        with pytest.raises(ShapeError, match="for each"):
            lines_with_cuts(*arguments)
    with pytest.raises(DomainError, match="take exp"):
        lines_with_cuts(LINES, CUTS, ["1", "2", "3"], torch.tensor([-0.5, -3.0, 0.0]))
