"""Slope and curvature of energies whose derivatives are known."""

from __future__ import annotations

import pytest
import torch

from lowland.energies import Gaussian
from lowland.errors import ShapeError
from lowland.evaluation import curvature, slope

BOWL = Gaussian(2, precision=torch.diag(torch.tensor([1.0, 9.0])))
"""F = ½ (y₁² + 9 y₂²)."""


def test_slope_and_curvature_of_a_bowl() -> None:
    assert slope(BOWL, torch.tensor([[0.0, 2.0], [3.0, 0.0]])).tolist() == pytest.approx([18, 3])
    y = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert curvature(BOWL, y).tolist() == pytest.approx([9] * 5)


def test_neither_changes_its_input_nor_needs_gradients_to_be_on() -> None:
    y = torch.ones(3, 2)
    with torch.no_grad():
        found = slope(BOWL, y), curvature(BOWL, y)
    assert not y.requires_grad
    assert not any(part.requires_grad for part in found)


@pytest.mark.parametrize("measure", [slope, curvature])
def test_points_are_rows(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(ShapeError, match="y must be a matrix"):
        measure(BOWL, torch.zeros(2))
