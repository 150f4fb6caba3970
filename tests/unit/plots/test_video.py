"""Films: what is written is read back, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from lowland.data.tracks import Road, Tracks
from lowland.envs.drivers import human, no_action
from lowland.envs.replay import Replay
from lowland.envs.trajectory import record
from lowland.errors import OptionError, ShapeError
from lowland.plots.video import drive_video, write_video


def read(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        return [picture.to_ndarray(format="rgb24") for picture in file.decode(video=0)]


def test_a_film_is_read_back(tmp_path: Path) -> None:
    pictures = [np.full((33, 64, 3), 40 * k, np.uint8) for k in range(6)]
    found = read(write_video(tmp_path / "a.mp4", pictures))
    assert len(found) == 6
    assert found[0].shape == (32, 64, 3)
    # Constant pictures survive compression up to the rounding of their conversion to luminance and back.
    assert all(np.abs(f.astype(int) - p[:32]).max() <= 3 for f, p in zip(found, pictures, strict=True))


def test_trips_are_stacked(tmp_path: Path) -> None:
    one, frame = np.ones(200), np.arange(200)
    road = Road(0.0, 200.0, (0.0, 3.7, 7.4))
    replay = Replay(Tracks(one, frame, frame, 1.8 * one, 4.5 * one, 1.8 * one, 0 * one, road))
    trajectories = [record(replay, driver, 0, name) for name, driver in (("human", human), ("no action", no_action))]
    found = read(drive_video(tmp_path / "b.mp4", trajectories, rate=2, size=(320, 64), pause=1.0))
    assert found[0].shape == (128, 320, 3)
    assert len(found) == np.ceil((max(trajectory.seconds for trajectory in trajectories) + 1.0) * 2)


def test_a_film_that_fails_leaves_nothing(tmp_path: Path) -> None:
    pictures = [np.zeros((32, 32, 3), np.uint8), np.zeros((34, 32, 3), np.uint8)]
    with pytest.raises(ShapeError, match="one size"):
        write_video(tmp_path / "c.mp4", pictures)
    with pytest.raises(ShapeError, match="at least one picture"):
        write_video(tmp_path / "c.mp4", [])
    with pytest.raises(ShapeError, match="float64"):
        write_video(tmp_path / "c.mp4", [np.zeros((32, 32, 3))])  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match=r"ends in \.mp4"):
        write_video(tmp_path / "c.gif", pictures)
    with pytest.raises(OptionError, match="at least one trajectory"):
        drive_video(tmp_path / "c.mp4", [])
    assert not list(tmp_path.iterdir())
