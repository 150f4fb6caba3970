"""Pictures for people: the own car where it is, the others between two frames, trajectories and their ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.data.tracks import Tracks
from lowland.envs.drawing import Own, draw
from lowland.envs.drivers import human
from lowland.envs.replay import Replay
from lowland.envs.trajectory import record
from lowland.errors import OptionError

ORANGE = (255, 138, 48)


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(H, W), where the picture has about that colour."""
    return np.abs(picture.astype(int) - colour).sum(axis=2) < 40


def test_the_own_car_is_drawn_where_it_is(log: Tracks) -> None:
    scene = Replay(log).scene
    pose = np.array([100.0, 5.55, 1.0, 0.0, 10.0])
    picture = draw(scene, 100.0, Own(pose, (4.5, 1.8), 3, label="human"), size=(650, 130), metres=65.0)
    assert picture.shape == (130, 650, 3)
    rows, columns = np.nonzero(near(picture, ORANGE))
    # 10 px/m; the view has the car at two fifths of its width, and its windows and outline are of other colours.
    assert abs((columns.min() + columns.max()) / 2 - 260) <= 2
    assert 38 <= np.ptp(columns) <= 46
    assert 13 <= np.ptp(rows) <= 19
    # The middle of a road of 11.1 m is the middle of what the line of text leaves free.
    assert abs((rows.min() + rows.max()) / 2 - (0.12 * 130 + 130) / 2) <= 2


def test_other_cars_move_between_two_frames(log: Tracks) -> None:
    scene = Replay(log).scene
    own = Own(np.array([100.0, 30.0, 1.0, 0.0, 10.0]), (4.5, 1.8), 3)
    early, between, late = (draw(scene, frame, own).astype(int) for frame in (100.0, 100.5, 101.0))
    assert (early != between).any()
    assert (between != late).any()


def test_a_trip_shows_its_end(log: Tracks) -> None:
    replay = Replay(log)
    driven = record(replay, human, 3, "human")
    assert driven.reason == "reached"
    assert len(driven.poses) == int(replay.steps[0]) + 1
    assert driven.seconds == pytest.approx(int(replay.steps[0]) * 0.2)
    end, later = driven.picture(driven.seconds), driven.picture(driven.seconds + 5)
    assert np.array_equal(end, later)
    assert near(end, (86, 196, 120)).any()
    assert not near(driven.picture(driven.seconds - 0.1), (86, 196, 120)).any()

    def reckless(state: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.ones(1, 2)

    wrecked = record(replay, reckless, 3)
    assert wrecked.reason in ("collision", "off road")
    picture = wrecked.picture(1e3)
    assert near(picture, (232, 60, 60)).any()
    assert not near(picture, ORANGE).any()


def test_a_picture_needs_pixels(log: Tracks) -> None:
    with pytest.raises(OptionError, match="16 x 16"):
        draw(Replay(log).scene, 0.0, Own(np.zeros(5), (4.5, 1.8), 0), size=(0, 100))
