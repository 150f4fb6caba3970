"""Maps of eigenvalues: what is below and above 1 can be told apart, and what does not fit is refused."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.plots.averaging import radius_maps

ONE = torch.tensor([[0.5, 1.0, 1.25], [0.9, 1.001, 2.0]])


def test_colours_turn_at_one() -> None:
    drawn = radius_maps({"a": ONE, "b": ONE}, [1, 2, 3], [1, 2], "x", "y", {"b": [1.0, 1.5, 2.0]})
    first, second = drawn.axes[:2]
    (mesh,) = first.collections
    shade = mesh.norm(mesh.get_array())
    assert torch.equal(torch.as_tensor(shade).sign(), torch.ones(2, 3))
    assert [bool(shade[row, column] < 0.5) for row, column in ((0, 0), (1, 0), (1, 1), (1, 2))] == [
        True, True, False, False
    ]  # fmt: skip
    assert shade[0, 1] == pytest.approx(0.5)
    assert [len(ax.lines) for ax in (first, second)] == [0, 1]
    drawn.canvas.draw()


def test_rounds_that_neither_grow_nor_shrink_are_drawn() -> None:
    radius_maps({"a": torch.ones(2, 3)}, [1, 2, 3], [1, 2], "x", "y").canvas.draw()


@pytest.mark.parametrize("maps", [{}, {"a": ONE, "b": ONE.T}])
def test_maps_must_fit(maps: dict[str, torch.Tensor]) -> None:
    with pytest.raises(OptionError, match="2 rows and 3 columns"):
        radius_maps(maps, [1, 2, 3], [1, 2], "x", "y")
