"""Every environment keeps the contract of Gymnasium and of Stable-Baselines3, with the wrappers that people use."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo
from gymnasium.wrappers.vector import DictInfoToList
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordVectorStatistics

import lowland.envs  # noqa: F401 (registers)
from lowland.data.logs import save_tracks, write_table
from lowland.data.tracks import Tracks
from lowland.data.traffic import traffic
from lowland.envs.own_log import own_log
from lowland.envs.traffic import TrafficReplay, TrafficReplayVector
from lowland.errors import DataError, OptionError, ShapeError

NAMES = sorted(name for name in gymnasium.registry if name.startswith("lowland/"))
OPTIONS: list[dict[str, Any]] = [{}, {"image": (39, 8)}, {"image": (20, 8), "history": 3, "every": 1, "cars": 4}]
FASTER = np.array([1.0, 0.0], np.float32)


@pytest.fixture(params=OPTIONS, ids=lambda options: "-".join(options) or "numbers")
def options(request: pytest.FixtureRequest, log: Tracks) -> dict[str, Any]:
    return {"tracks": log} | request.param


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def finish(env: gymnasium.Env[Any, Any]) -> tuple[float, int, dict[str, Any]]:
    """Return, length and last info of an episode with full acceleration."""
    total, steps, over, info = 0.0, 0, False, {}
    while not over:
        _, reward, ended, cut, info = env.step(FASTER)
        total, steps, over = total + float(reward), steps + 1, ended or cut
    return total, steps, info


@pytest.mark.parametrize("name", NAMES)
def test_the_checkers_are_content(name: str, options: dict[str, Any]) -> None:
    """Their remarks are warnings, which are errors here."""
    env = gymnasium.make(name, **options, render_mode="rgb_array")
    check_env(env.unwrapped)


@pytest.mark.parametrize("name", NAMES)
def test_the_checker_of_stable_baselines_is_content(name: str, options: dict[str, Any]) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        checker.check_env(gymnasium.make(name, **options).unwrapped)
    # Advice on what its own policies take as it is: flat vectors, and images of at least 36 x 36.
    advice = ("unconventional shape", "The minimal resolution for an image")
    assert [str(one.message) for one in remarks if not any(part in str(one.message) for part in advice)] == []


@pytest.mark.parametrize("name", NAMES)
def test_statistics_of_episodes_are_recorded(name: str, log: Tracks) -> None:
    env = RecordEpisodeStatistics(gymnasium.make(name, tracks=log))
    env.reset(options={"episode": 4})
    total, steps, info = finish(env)
    assert (info["episode"]["r"], info["episode"]["l"]) == (pytest.approx(total), steps)
    assert info["episode_number"] == 4


def test_statistics_of_a_batch_are_those_of_its_environments(log: Tracks) -> None:
    batch = RecordVectorStatistics(TrafficReplayVector(3, log))
    batch.reset(options={"episode": [4, 0, 2]})
    wanted = {}
    for row, episode in enumerate((4, 0, 2)):
        env = TrafficReplay(log)
        env.reset(options={"episode": episode})
        wanted[row] = finish(env)
    while wanted:
        _, _, ended, cut, info = batch.step(np.tile(FASTER, (3, 1)))
        for row in np.flatnonzero(ended | cut):
            if row not in wanted:
                continue
            total, steps, last = wanted.pop(row)
            assert info["episode"]["l"][row] == steps
            assert info["episode"]["r"][row] == pytest.approx(total, abs=1e-5 * steps)  # float32 rewards are summed
            assert info["reason"][row] == last["reason"]


def test_the_information_of_a_batch_is_that_of_its_environments(log: Tracks) -> None:
    _, several = DictInfoToList(TrafficReplayVector(2, log)).reset(options={"episode": [3, 5]})
    single = TrafficReplay(log)
    assert several == [single.reset(options={"episode": episode})[1] for episode in (3, 5)]


@pytest.mark.parametrize("name", NAMES)
def test_copies_run_side_by_side(name: str, log: Tracks) -> None:
    several = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(name, tracks=log)] * 2)
    batch = TrafficReplayVector(2, log)
    for together in (several, batch):
        together.reset(seed=0, options={"episode": 3})
    for _ in range(60):
        one, other = (together.step(np.tile(FASTER, (2, 1))) for together in (several, batch))
        assert all(np.array_equal(one[0][key], other[0][key]) for key in one[0])
        np.testing.assert_allclose(one[1], other[1], atol=1e-6)
        if (one[2] | one[3]).any():
            break
    assert (one[2] | one[3]).all()
    several.close()


@pytest.mark.parametrize("name", NAMES)
def test_films_are_recorded(name: str, log: Tracks, tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    import av

    env = RecordVideo(
        gymnasium.make(name, tracks=log, render_mode="rgb_array"), str(tmp_path / "films"), disable_logger=True
    )
    env.reset(options={"episode": 4})
    _, steps, _ = finish(env)
    env.close()
    (film,) = (tmp_path / "films").glob("*.mp4")
    with av.open(str(film)) as file:
        frames = sum(1 for _ in file.decode(video=0))
    assert steps <= frames <= steps + 1  # the encoder may leave out the last


def test_a_batch_begins_the_episodes_that_it_is_told(log: Tracks) -> None:
    batch = TrafficReplayVector(3, log)
    _, info = batch.reset(seed=0, options={"episode": np.array([4, 0, 2])})
    assert info["episode_number"].tolist() == [4, 0, 2]
    batch.step(np.tile(FASTER, (3, 1)))
    before = batch.replay.own.clone()
    mask = np.array([False, True, False])
    _, info = batch.reset(options={"reset_mask": mask, "episode": 6})
    assert info["episode_number"].tolist() == [4, 6, 2]
    assert torch.equal(batch.replay.own[mask == 0], before[mask == 0])
    assert batch.reset(options={"episode": 1})[1]["episode_number"].tolist() == [1, 1, 1]
    same = [batch.reset(seed=5)[1]["episode_number"].tolist() for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.parametrize("batch", [False, True])
def test_what_reset_cannot_do_is_said(batch: bool, log: Tracks) -> None:
    env = TrafficReplayVector(2, log) if batch else TrafficReplay(log)
    with pytest.raises(OptionError, match="call reset before the first step"):
        env.step(np.zeros((2, 2) if batch else 2))
    for episode in (-1, 10_000, 1.5, True, "3"):
        with pytest.raises(OptionError, match="Episodes go from 0"):
            env.reset(options={"episode": episode})
    with pytest.raises(OptionError, match="Did you mean 'episode'"):
        env.reset(options={"episodes": 3})
    with pytest.raises(ShapeError, match="episode must be one number"):
        env.reset(options={"episode": [0, 1, 2]})
    if batch:
        with pytest.raises(OptionError, match="reset_mask must be 2 times"):
            env.reset(options={"reset_mask": [1, 0]})


@pytest.mark.parametrize(("until", "cars"), [("section", 3), ("recording", 30)])
@pytest.mark.parametrize("action", [(1, 0), (-1, 0), (1, 1), (0.3, -1), (-0.1, 1)])
def test_no_observation_leaves_its_bounds(log: Tracks, until: Any, cars: int, action: tuple[float, float]) -> None:
    """At the corners of what a car can do; 30 cars are more than the log has near."""
    batch = TrafficReplayVector(8, log, until=until, cars=cars)
    space = batch.single_observation_space
    seen, _ = batch.reset(seed=0)
    for _ in range(60):
        for row in range(8):
            assert {name: leaf[row] for name, leaf in seen.items()} in space
        seen, *_ = batch.step(np.tile(np.float32(action), (8, 1)))
    bounds = np.concatenate([np.ravel(part) for box in space.values() for part in (box.low, box.high)])
    assert np.isfinite(bounds).all()
    assert space["own"].high[1] < 50  # across the road: a number of the log, not a million


def test_the_bounds_of_the_shipped_traffic_are_those_of_its_log() -> None:
    (tracks,) = traffic("validation")
    space = TrafficReplay(tracks).observation_space
    for number, column in ((0, tracks.length), (1, tracks.width)):
        # Bounds are widened by a thousandth of the larger one; the other thousandth is for float32.
        assert space["size"].low[number] == pytest.approx(column.min(), abs=1.001e-3 * column.max())
        assert space["size"].high[number] == pytest.approx(column.max(), abs=1.001e-3 * column.max())
    assert space["cars"].high[0, 0] >= tracks.x.max()


@pytest.mark.usefixtures("float64")
def test_the_default_type_of_torch_changes_nothing(options: dict[str, Any]) -> None:
    wide = TrafficReplay(**options)
    torch.set_default_dtype(torch.float32)
    usual = TrafficReplay(**options)
    torch.set_default_dtype(torch.float64)
    assert wide.observation_space == usual.observation_space
    one, other = (env.reset(options={"episode": 2})[0] for env in (wide, usual))
    for _ in range(5):
        assert one in wide.observation_space
        assert all(np.array_equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in other)
        one, other = wide.step(FASTER)[0], usual.step(FASTER)[0]


def test_a_path_is_read_as_a_recipe_reads_it(log: Tracks, tmp_path: Path) -> None:
    path = save_tracks(log, tmp_path / "own.npz")
    read, faults = own_log(path)
    assert not faults
    by_path, by_tracks = (TrafficReplay(tracks).reset(options={"episode": 1})[0] for tracks in (str(path), read))
    assert all(np.array_equal(by_path[name], by_tracks[name]) for name in by_tracks)
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        TrafficReplay(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    "lines",
    [
        "import gymnasium, lowland; assert 'torch' not in sys.modules",
        "import lowland as ll; ll.planning; import gymnasium",
        "import lowland as ll; import gymnasium; gymnasium.register_envs(ll.envs)",
    ],
)
def test_it_is_found_without_a_prefix(lines: str) -> None:
    code = f"import sys; {lines}; print(gymnasium.spec('lowland/TrafficReplay-v0').id)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "lowland/TrafficReplay-v0", done.stderr


@pytest.mark.parametrize("build", [TrafficReplay, lambda tracks, **given: TrafficReplayVector(1, tracks, **given)])
def test_a_table_is_read_with_its_columns_and_units(build: Any, log: Tracks, tmp_path: Path) -> None:
    """The same log in feet, with a column of another name, is the same world to a millimetre, as it was written."""
    feet = {name: getattr(log, name) / 0.3048 for name in ("x", "y", "length", "width")}
    file, here = write_table(replace(log, **feet), tmp_path / "feet.csv"), write_table(log, tmp_path / "metres.csv")
    file.write_text(file.read_text().replace("vehicle", "car_no", 1))
    read = build(file, columns={"vehicle": "car_no"}, units="ft").reset(options={"episode": 0})[0]
    wanted = build(here).reset(options={"episode": 0})[0]
    for name in ("own", "cars", "size"):
        np.testing.assert_allclose(read[name][..., :2], wanted[name][..., :2], atol=1e-3)
    for tracks in (log, "validation"):
        with pytest.raises(OptionError, match="columns, units and fps say how a file is read"):
            build(tracks, units="ft")
