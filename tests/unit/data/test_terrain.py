"""Rendered terrain: exact distances of the ground, labels that fit them, and courses that are their seed's alone."""

from __future__ import annotations

import pytest
import torch

from lowland.data.terrain import DRIVABLE, EYE, FARTHEST, FOCAL, OBSTACLE, SIZE, SKY, Course
from lowland.errors import OptionError


@pytest.fixture(scope="module")
def course() -> Course:
    return Course("train", 3)


def test_a_frame_is_drawn_the_same_again_and_another_course_is_another(course: Course) -> None:
    frame, again = course.frame(10.0), Course("train", 3).frame(10.0)
    assert all(torch.equal(one, other) for one, other in zip(frame, again, strict=True))
    for other in (Course("train", 4), Course("test", 3)):
        assert not torch.equal(other.frame(10.0).labels, frame.labels)


def test_ground_lies_where_a_plane_would_and_obstacles_stand_before_it(course: Course) -> None:
    frame = course.frame(10.0)
    row, column = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    plane = FOCAL * EYE / (row - frame.horizon[column])
    near = (row - frame.horizon[column] > 60) & (frame.labels == DRIVABLE)
    # The ground has bumps of some centimetres, and the camera stands on one: of 1.2 m that is a tenth or so.
    assert ((frame.depth / plane)[near] - 1).abs().mean() < 0.1
    below = (row > frame.horizon[column] + 5) & (frame.labels == OBSTACLE)
    assert (frame.depth[below] <= 1.15 * plane[below]).double().mean() > 0.9


def test_each_column_goes_from_the_sky_down_to_what_is_nearest(course: Course) -> None:
    frame = course.frame(25.0)
    assert set(frame.labels.unique().tolist()) == {SKY, DRIVABLE, OBSTACLE}
    assert torch.equal(frame.depth.isinf(), frame.labels == SKY)
    assert (frame.depth[:-1] >= frame.depth[1:]).all()
    assert frame.depth[frame.labels != SKY].max() <= FARTHEST
    assert (frame.labels[-1, 200:312] == DRIVABLE).all()


@pytest.mark.parametrize("at", [-1.0, 61.0, float("nan")])
def test_a_place_off_the_course_is_refused(course: Course, at: float) -> None:
    with pytest.raises(OptionError, match="from 0 to 60"):
        course.frame(at)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(OptionError, match="Did you mean 'test'"):
        Course("tests", 0).frame(0.0)
