"""Reconstructions beside their truth."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import ShapeError
from lowland.plots.reconstructions import reconstructions


def test_all_have_the_greys_of_the_truth() -> None:
    truth = torch.zeros(2, 6, 6)
    truth[0, 2, 2] = 2.0
    drawn = reconstructions(truth, {"half": truth / 2})
    shown = [ax.get_images()[0].get_array().max() for ax in drawn.axes]
    assert [shown[0], shown[1], shown[3]] == [1.0, 0.5, 1.0]  # an error of a half, four times, is white


def test_without_a_truth_there_is_one_row() -> None:
    assert len(reconstructions(None, {"one": torch.rand(2, 6, 6), "two": torch.rand(2, 6, 6)}).axes) == 2


def test_images_of_several_sizes_are_refused() -> None:
    for truth, found in (
        (None, {}),
        (torch.zeros(2, 4, 4), {"a": torch.zeros(2, 4, 5)}),
        (None, {"a": torch.zeros(1, 4, 4)}),
    ):
        with pytest.raises(ShapeError, match="one shape"):
            reconstructions(truth, found)
