"""Bands along the ground: the same thing has the same window at every distance, level with a tilted horizon."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowland.data.near_stereo import Ground
from lowland.errors import OptionError
from lowland.nn.ground_bands import FOOT, METRE, band_places, cut

FOCAL, SIZE, EYE = 480.0, (208, 512), 1.2
LEVEL = Ground(0.0, 0.1, -5.6, 0.12)


def board(distance: float) -> Tensor:
    """A picture of a smooth board on a stand, as it looks from a distance in metres."""
    row, column = torch.meshgrid(torch.arange(SIZE[0]).float(), torch.arange(SIZE[1]).float(), indexing="ij")
    across = (column - 255.5) * distance / FOCAL
    up = EYE - (row - 56.0) * distance / FOCAL
    return (torch.exp(-(across**2) / 0.5 - (up - 0.4) ** 2 / 0.1))[None]


def test_a_board_looks_the_same_near_and_far() -> None:
    windows = []
    for distance in (6.0, 12.0, 24.0):
        v = LEVEL.row(torch.tensor([255.5]), torch.tensor(distance), FOCAL)
        windows.append(cut(board(distance), LEVEL, torch.tensor([255.5]), v, torch.tensor([FOCAL / distance / METRE])))
    assert windows[0].amax() > 0.8
    # What is left is the blur of halving, more of it where more pixels were halved.
    assert (windows[0] - windows[1]).abs().amax() < 0.08
    assert (windows[1] - windows[2]).abs().amax() < 0.08
    top = windows[1][0, 0, :, 12].argmax().item()
    assert top == FOOT - 4  # 0.4 m above the foot at 10 pixels a metre


def test_windows_follow_a_tilted_horizon() -> None:
    tilted = Ground(-0.01, 0.1, -2.0, 0.12)  # the horizon goes down by one row in ten columns
    row, column = torch.meshgrid(torch.arange(100.0), torch.arange(200.0), indexing="ij")
    image = (row - 0.1 * column)[None]
    window = cut(image, tilted, torch.tensor([100.0]), torch.tensor([60.0]), torch.tensor([1.0]))[0, 0]
    assert torch.allclose(window, (torch.arange(12.0) - FOOT + 50)[:, None].expand(-1, 25), atol=1e-3)


def test_places_lie_on_the_plane_and_their_windows_in_the_picture() -> None:
    places = band_places(LEVEL, FOCAL, SIZE, 4.0, 60.0)
    assert torch.allclose(places.v - 56, FOCAL * EYE / places.distance, atol=1e-3)
    half = 12 * FOCAL / places.distance / METRE
    assert (places.u - half).min() >= -1e-3
    assert (places.u + half).max() <= 511 + 1e-3
    distances, counts = places.distance.unique(return_counts=True)
    assert torch.allclose(distances[1:] / distances[:-1], torch.tensor(1.1), atol=1e-4)
    assert counts.max() == 40


@pytest.mark.parametrize(("nearest", "farthest"), [(0.0, 60.0), (60.0, 4.0), (4.0, float("inf"))])
def test_distances_that_cannot_be(nearest: float, farthest: float) -> None:
    with pytest.raises(OptionError, match="0 < nearest < farthest"):
        band_places(LEVEL, FOCAL, SIZE, nearest, farthest)


def test_no_places_give_no_windows() -> None:
    none = torch.zeros(0)
    assert cut(board(6.0), LEVEL, none, none, none).shape == (0, 1, 12, 25)
