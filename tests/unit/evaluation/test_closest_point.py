"""The closest points of curves whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lowland.errors import OptionError
from lowland.evaluation.closest_point import closest_on_curve


def circle(angle: Any) -> Any:
    return np.stack([2 * np.cos(angle), 2 * np.sin(angle)], axis=-1)


def test_on_a_circle_it_is_the_point_scaled_to_the_radius() -> None:
    """The search stops at 1e-12 of the angle, or at the square root of the rounding of a squared distance."""
    y = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = 2 * y / y.norm(dim=1, keepdim=True)
    assert (closest_on_curve(circle, y, 0.0, 2 * np.pi) - exact).abs().max() < 1e-6


def test_the_ends_are_in_order() -> None:
    with pytest.raises(OptionError, match="low < high"):
        closest_on_curve(circle, torch.zeros(1, 2), 1.0, 1.0)
