"""Labels painted on the ground: blue and orange where their places are, and nothing elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.errors import ShapeError
from lowland.plots.ground_labels import ground_labels, painted


def test_each_place_is_painted_in_its_colour_and_size() -> None:
    u = torch.tensor([10.0, 20.0, 30.0, 10.0, 20.0, 30.0])
    v = torch.tensor([30.0, 30.0, 30.0, 20.0, 20.0, 20.0])
    drawn = painted(torch.full((3, 40, 60), 100, dtype=torch.uint8), u, v, torch.tensor([0, 1, -1, 1, 0, 0]))
    assert drawn.shape == (40, 60, 3)
    assert drawn[30, 10, 2] > drawn[30, 10, 0]
    assert drawn[30, 20, 0] > drawn[30, 20, 2]
    assert (drawn[30, 30] == 100).all()
    assert (drawn[:, 40:] == 100).all()
    assert (drawn[:10] == 100).all()
    touched = (drawn != 100).any(axis=2)
    assert touched[30, 5:25].all()  # half of the gap of ten to each side
    assert touched[15:25, 10].all()


def test_rows_and_places_must_fit() -> None:
    with pytest.raises(ShapeError, match="a column, a row and a label"):
        painted(torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(2), torch.zeros(2), torch.zeros(3))
    picture = np.zeros((4, 8, 3), np.uint8)
    for rows in ({}, {"a": [picture], "b": [picture] * 2}, {"a": []}):
        with pytest.raises(ShapeError, match="as many pictures"):
            ground_labels(rows, ("yes", "no"))
