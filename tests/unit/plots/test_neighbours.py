"""Costs of neighbours are drawn about their mean."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import ShapeError
from lowland.plots.neighbours import neighbour_costs


def test_the_scale_is_the_same_on_both_sides_of_the_mean() -> None:
    image = neighbour_costs(torch.tensor([[1.0, 2.0], [3.0, 10.0]]), "ab").axes[0].images[0]
    assert image.get_array().tolist() == [[-3.0, -2.0], [-1.0, 6.0]]
    assert image.get_clim() == (-6.0, 6.0)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"Costs of 3 labels must be 3 × 3, not \(2, 2\)"):
        neighbour_costs(torch.zeros(2, 2), "abc")
