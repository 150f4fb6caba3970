"""Rows of forecasts of films, read back from the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.errors import ShapeError
from lowland.plots.film_forecasts import forecast_rows


def test_samples_of_a_film_stand_in_the_order_of_their_errors() -> None:
    """One frame of past and one of future, 2 × 2 pixels; the samples are 0.1, 0.5 and 0.9 away."""
    past, future = torch.full((1, 2, 2), 0.3), torch.zeros(1, 2, 2)
    samples = torch.tensor([0.9, 0.1, 0.5])[:, None, None, None].expand(-1, 1, 2, 2)
    sheet = forecast_rows(past, future, torch.ones(1, 2, 2), samples).axes[0].get_images()[0].get_array()
    assert sheet is not None
    assert np.allclose(sheet[::3, 3], [0.0, 1.0, 0.1, 0.5, 0.9])
    assert np.ma.getmaskarray(sheet)[::3, 0].tolist() == [False, True, True, True, True]
    with pytest.raises(ShapeError, match="shape of the future"):
        forecast_rows(past, future, torch.ones(2, 2, 2), samples)
