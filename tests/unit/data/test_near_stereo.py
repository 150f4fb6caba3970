"""Stereo nearby: errors as said, the plane found among obstacles, and what stands on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lowland.data.near_stereo import Ground, fit_ground, standing_share, stereo_disparity
from lowland.errors import DataError, OptionError

FOCAL, SIZE = 480.0, (160, 300)


def flat_depth(eye: float, horizon: float, obstacle: slice | None = None, at: float = 6.0) -> Tensor:
    """Depth of a plane below the camera, and of a wall at a distance that stands in some columns."""
    row = torch.arange(SIZE[0]).float()[:, None].expand(SIZE).clone()
    depth = torch.where(row > horizon, FOCAL * eye / (row - horizon).clamp(min=1e-6), torch.inf)
    if obstacle is not None:
        depth[:, obstacle] = depth[:, obstacle].clamp(max=at)
    return depth


def test_the_error_of_a_distance_grows_with_its_square() -> None:
    generator = torch.Generator().manual_seed(0)
    errors = []
    for distance in (5.0, 10.0):
        measured = FOCAL * 0.12 / stereo_disparity(torch.full((400, 500), distance), FOCAL, generator, reach=30.0)
        known = measured[~measured.isnan()] - distance
        errors.append((known.abs().nanquantile(0.5)).item())
    # Half of the errors of a normal distribution are below 0.6745 of its deviation, z² σ / (f b).
    expected = [0.6745 * distance**2 * 0.15 / (FOCAL * 0.12) for distance in (5.0, 10.0)]
    assert np.allclose(errors, expected, rtol=0.05)


def test_beyond_its_reach_nothing_is_measured_but_by_mistake() -> None:
    measured = stereo_disparity(torch.full((200, 200), 40.0), FOCAL, torch.Generator().manual_seed(0), reach=12.0)
    assert measured.isnan().double().mean() > 0.97
    with pytest.raises(OptionError, match="above 0"):
        stereo_disparity(torch.ones(2, 2), FOCAL, torch.Generator(), reach=0.0)


def test_the_plane_is_found_with_a_wall_in_two_fifths_of_the_picture() -> None:
    generator = torch.Generator().manual_seed(1)
    disparity = stereo_disparity(flat_depth(1.3, 20.0, slice(0, 120)), FOCAL, generator)
    found = fit_ground(disparity, generator)
    assert abs(found.eye - 1.3) < 0.03
    assert abs(found.row(torch.tensor(200.0), torch.tensor(1e9), FOCAL).item() - 20.0) < 2.0
    # Least squares over all points alone is far off.
    place = (~disparity.isnan()).nonzero().numpy()
    design = np.column_stack([place[:, 1], place[:, 0], np.ones(len(place))])
    plain = np.linalg.lstsq(design, disparity.numpy()[place[:, 0], place[:, 1]], rcond=None)[0]
    assert abs(0.12 / plain[1] - 1.3) > 0.1


def test_height_and_row_follow_from_similar_triangles() -> None:
    # A camera 1.2 m high, level, horizon in row 10: a point 0.4 m above the ground at 6 m is 0.8 · 480 / 6 rows lower.
    down = 0.12 / 1.2
    ground = Ground(0.0, down, -10.0 * down, 0.12)
    point = torch.tensor(10 + 0.8 * FOCAL / 6)
    assert ground.height(torch.tensor(5.0), point, torch.tensor(FOCAL * 0.12 / 6)).item() == pytest.approx(0.4)
    assert ground.row(torch.tensor(5.0), torch.tensor(6.0), FOCAL).item() == pytest.approx(10 + 1.2 * FOCAL / 6)


def test_only_what_stands_counts_and_places_without_points_have_no_share() -> None:
    generator = torch.Generator().manual_seed(2)
    disparity = stereo_disparity(flat_depth(1.2, 20.0, slice(200, 300)), FOCAL, generator)
    disparity[:, 280:] = torch.nan
    ground = fit_ground(disparity, generator)
    u, v = torch.tensor([100.0, 240.0, 292.0]), torch.tensor([120.0, 75.0, 75.0])
    flat, wall, none = standing_share(disparity, ground, u, v, torch.full((3,), 6.0)).tolist()
    assert flat < 0.1
    assert wall > 0.9
    assert np.isnan(none)


def test_without_points_or_with_a_plane_above_there_is_no_ground() -> None:
    with pytest.raises(DataError, match="100 measured points"):
        fit_ground(torch.full((50, 50), torch.nan), torch.Generator().manual_seed(0))
    ceiling = 10 - 0.1 * torch.arange(50.0)[:, None].expand(50, 80)
    with pytest.raises(DataError, match="No plane below"):
        fit_ground(ceiling.contiguous(), torch.Generator().manual_seed(0))
