"""Logs of plants are read as they are commonly written, and bad ones are one clear sentence."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from lowland.data.gym_log import from_shares, outside, to_shares, write_gym_log
from lowland.data.gym_read import read_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.errors import DataError, OptionError

STEPS = 10


def arrays(**changes: Any) -> dict[str, Any]:
    made = {"observations": np.arange(2.0 * STEPS).reshape(STEPS, 2), "actions": np.linspace(-3, 5, STEPS)[:, None]}
    return {name: array for name, array in (made | changes).items() if array is not None}


def saved(folder: Path, **changes: Any) -> Path:
    np.savez(folder / "log.npz", **arrays(**changes))
    return folder / "log.npz"


def lengths(path: Path) -> list[int]:
    return [len(each["actions"]) for each in read_gym_log(path).paths]


@pytest.mark.parametrize(
    "ends",
    [
        {"terminals": np.isin(np.arange(STEPS), [3, 9])},
        {"terminations": np.arange(STEPS) == 3, "truncations": np.arange(STEPS) == 9},
        {"dones": (np.arange(STEPS) == 3).astype(float)},
        {"timeouts": np.arange(STEPS) == 3},
        {"episode_ends": np.array([4, 10])},
    ],
)
def test_ends_of_episodes_by_any_name(ends: dict[str, Any], tmp_path: Path) -> None:
    assert lengths(saved(tmp_path, **ends)) == [3, 5]
    assert lengths(saved(tmp_path, next_observations=np.zeros((STEPS, 2)), **ends)) == [4, 6]


def test_actions_are_shares_of_their_bounds(tmp_path: Path) -> None:
    log = read_gym_log(saved(tmp_path))
    shares = log.paths[0]["actions"]
    assert (float(shares.min()), log.sizes) == (-1.0, (2, 1))
    wide = read_gym_log(saved(tmp_path, action_low=np.array([-5.0]), action_high=np.array([5.0])))
    assert wide.low is not None
    assert wide.high is not None
    torch.testing.assert_close(wide.paths[0]["actions"][0], torch.tensor([-0.6]))
    np.testing.assert_allclose(from_shares(to_shares(np.array([1.5]), wide.low, wide.high), wide.low, wide.high), 1.5)


def test_whole_numbers_are_choices(tmp_path: Path) -> None:
    log = read_gym_log(saved(tmp_path, actions=np.arange(STEPS) % 3))
    assert log.low is None
    assert torch.equal(log.paths[0]["actions"][:3], torch.eye(3))


def test_steps_that_are_not_finite_are_left_out_and_named(tmp_path: Path) -> None:
    observations = arrays()["observations"]
    observations[4, 0] = np.nan
    log = read_gym_log(saved(tmp_path, observations=observations))
    assert [len(each["actions"]) for each in log.paths] == [3, 4]
    assert log.notes == ("1 of 10 steps have NaN or infinity and were left out.",)
    assert all(bool(torch.isfinite(each["observation"]).all()) for each in log.paths)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observations": None}, "has no array called observations .*, only actions"),
        ({"actions": None}, "has no array called actions"),
        (
            {"observations": np.zeros((STEPS + 1, 2))},
            "11 observations but 10 actions. The last observation has no action",
        ),
        ({"observations": np.zeros((3, 2))}, "3 observations but 10 actions"),
        ({"observations": np.full((STEPS, 2), np.nan)}, "no two finite steps in a row"),
        ({"observations": np.array(["a"] * STEPS)}, "numbers .* are needed"),
        ({"observations": np.zeros((1, 2)), "actions": np.zeros((1, 1))}, "holds 1 steps"),
        ({"next_observations": np.zeros((STEPS, 3))}, "next observations have the shape"),
        ({"terminals": np.zeros(3)}, "terminals has 3 entries, but there are 10 steps"),
        ({"episode_ends": np.array([4, 99])}, "episode_ends must count from 1 to 10"),
        ({"actions": -np.arange(STEPS)}, "whole numbers from -9 to 0"),
        ({"action_low": np.full(1, -3.0), "action_high": np.full(1, 3.0)}, "3 of 10 actions are outside .* at step 7"),
        ({"action_low": np.zeros(2)}, "action_low must have 1 numbers"),
        ({"action_low": np.ones(1), "action_high": np.zeros(1)}, "action_low is above action_high"),
    ],
)
def test_bad_logs(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_gym_log(saved(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"observations,actions\n1,2\n"])
def test_files_that_are_no_logs(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="can be read"):
        read_gym_log(path)
    with pytest.raises(DataError, match=r"missing\.npz cannot be read: No such file"):
        read_gym_log(tmp_path / "missing.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match="single array"):
        read_gym_log(tmp_path / "one.npy")
    np.savez(path, observations=np.array([{}, {}], dtype=object), actions=np.zeros(2))
    with pytest.raises(DataError, match="can be read"):
        read_gym_log(path)


def test_a_truncated_file_is_one_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="can be read"):
            read_gym_log(path)


def test_recorded_written_and_read_again(tmp_path: Path) -> None:
    log = record_gym_log("Pendulum-v1", steps=450, seed=3)
    assert [len(path["actions"]) for path in log.paths] == [200, 200, 50]
    again = read_gym_log(write_gym_log(log, tmp_path / "log.npz"))
    for one, other in zip(log.paths, again.paths, strict=True):
        assert torch.equal(one["observation"], other["observation"])
        torch.testing.assert_close(one["actions"], other["actions"])
    choices = record_gym_log("CartPole-v1", steps=60, longest=10)
    assert choices.sizes == (4, 2)
    assert max(len(path["actions"]) for path in choices.paths) <= 10
    same = read_gym_log(write_gym_log(choices, tmp_path / "choices.npz"))
    assert torch.equal(same.paths[0]["actions"], choices.paths[0]["actions"])


def test_held_out_are_whole_episodes() -> None:
    log = record_gym_log("Pendulum-v1", steps=100, longest=10)
    train, held = log.split(0.2)
    assert (len(train.paths), len(held.paths)) == (8, 2)
    one = record_gym_log("Pendulum-v1", steps=100)
    assert [part.steps for part in one.split(0.2)] == [80, 20]
    with pytest.raises(OptionError, match="hold out"):
        log.split(1.0)


def test_plants_that_cannot_be_recorded() -> None:
    with pytest.raises(OptionError, match="cannot make"):
        record_gym_log("Pendulm-v1", steps=10)
    with pytest.raises(OptionError, match="Box of observations"):
        record_gym_log("FrozenLake-v1", steps=10)
    with pytest.raises(OptionError, match="at least 1 step"):
        record_gym_log("Pendulum-v1", steps=0)


def test_flipped_bytes_are_a_sentence_or_a_log(tmp_path: Path) -> None:
    path = write_gym_log(record_gym_log("CartPole-v1", steps=60, longest=20), tmp_path / "mine.npz")
    whole, generator = bytearray(path.read_bytes()), np.random.default_rng(0)
    for place in generator.integers(len(whole), size=300):
        damaged = whole.copy()
        damaged[place] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            read_gym_log(path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("next_observations", np.array("x")),
        ("dones", np.array(["a"] * 40)),
        ("action_low", np.array(["a"])),
        ("episode_ends", np.float64(3.0)),
    ],
)
def test_arrays_that_are_no_numbers_are_a_sentence(name: str, array: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, observations=np.zeros((40, 2)), actions=np.zeros((40, 1)), **{name: array})
    with pytest.raises(DataError, match=f"{name} is .* but numbers"):
        read_gym_log(path)


def test_a_region_is_cut_out_of_a_log() -> None:
    seen = torch.linspace(-3, 3, 61)[:, None]
    path = {"observation": seen, "actions": seen[:60]}
    segments = outside([path], lambda observation: observation[:, 0].abs() < 0.95, least=2)
    assert [len(part["actions"]) for part in segments] == [20, 20]
    for part in segments:
        assert float(part["observation"].abs().min()) > 0.95
        torch.testing.assert_close(part["actions"], part["observation"][:-1])
    assert not outside([path], lambda observation: observation[:, 0].abs() < 0.95, least=21)


def test_images_keep_their_shape(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (STEPS, 8, 6, 3)).astype(np.uint8)
    path = tmp_path / "log.npz"
    np.savez(path, frames=frames, actions=np.linspace(-1, 1, STEPS))
    log = read_gym_log(path)
    assert log.shape == (8, 6, 3)
    assert torch.equal(log.paths[0]["observation"], torch.from_numpy(frames))
    with pytest.raises(DataError, match=r"has images \(8, 6, 3\)"):
        _ = log.sizes
    np.savez(path, pixels=frames[..., 0], actions=np.linspace(-1, 1, STEPS))
    assert read_gym_log(path).shape == (8, 6, 1)


def outcomes(**changes: Any) -> dict[str, Any]:
    return {
        "rewards": np.arange(1.0, STEPS + 1),
        "next_observations": np.arange(2.0 * STEPS).reshape(STEPS, 2),
    } | changes


def test_rewards_and_ends_belong_to_the_state_that_follows(tmp_path: Path) -> None:
    ends = {"terminations": np.arange(STEPS) == 3, "truncations": np.arange(STEPS) == 9}
    log = read_gym_log(saved(tmp_path, **outcomes(**ends)), outcomes=True)
    first, second = log.paths
    assert first["reward"].tolist() == [0, 1, 2, 3, 4]
    assert first["alive"].tolist() == [1, 1, 1, 1, 0]
    assert second["reward"].tolist() == [0, 5, 6, 7, 8, 9, 10]
    assert second["alive"].tolist() == [1] * 7
    again = read_gym_log(write_gym_log(log, tmp_path / "again.npz"), outcomes=True)
    for one, other in zip(log.paths, again.paths, strict=True):
        assert torch.equal(one["reward"], other["reward"])
        assert torch.equal(one["alive"], other["alive"])
    assert "reward" not in read_gym_log(tmp_path / "again.npz").paths[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rewards": None}, "no array called rewards .*: save the reward of each step, or learn the model alone"),
        ({"rewards": np.zeros(3)}, "has 3 rewards, but 10 actions"),
        ({"dones": np.isin(np.arange(STEPS), [3, 9])}, "dones does not say whether the plant ended"),
        (
            {"terminations": np.arange(STEPS) == 3, "truncations": np.arange(STEPS) == 3},
            "marked both as terminated and as truncated",
        ),
    ],
)
def test_outcomes_that_cannot_be_read(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_gym_log(saved(tmp_path, **outcomes(**changes)), outcomes=True)


@pytest.mark.parametrize("name", ["dones", "terminations"])
def test_ends_after_the_same_time_are_a_limit(name: str, tmp_path: Path) -> None:
    """Four episodes of two steps, and a last one that the recording did not finish."""
    log = read_gym_log(saved(tmp_path, **outcomes(**{name: np.isin(np.arange(STEPS), [1, 3, 5, 7, 9])})), outcomes=True)
    assert all(bool((path["alive"] == 1).all()) for path in log.paths)
    assert any("limit of time" in note for note in log.notes)


def test_a_reward_that_is_not_finite_ends_its_episode(tmp_path: Path) -> None:
    rewards = np.where(np.arange(STEPS) == 4, np.nan, 1.0)
    log = read_gym_log(saved(tmp_path, **outcomes(rewards=rewards)), outcomes=True)
    assert [len(path["actions"]) for path in log.paths] == [4, 5]
    assert log.notes == ("1 of 10 steps have NaN or infinity and were left out.",)


def test_episodes_of_one_step_are_said(tmp_path: Path) -> None:
    log = read_gym_log(saved(tmp_path, truncations=np.isin(np.arange(STEPS), [0, 1, 9])))
    assert [len(path["actions"]) for path in log.paths] == [7]
    assert log.notes == ("2 of 3 episodes have a single step, with nothing after it: left out.",)


def test_what_no_plan_can_be_learned_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the action never changes"):
        read_gym_log(saved(tmp_path, actions=np.full((STEPS, 1), 0.7))).check_control()
    with pytest.raises(DataError, match="has discrete actions"):
        read_gym_log(saved(tmp_path, actions=np.arange(STEPS) % 3)).check_control()
    read_gym_log(saved(tmp_path)).check_control()


TABLE = """episode,obs_1,obs_0,action,reward,terminated,truncated,battery
1,10,0,-1,1,0,0,9
1,11,1,0,1,0,0,9
1,12,2,1,1,1,0,9
2,20,3,0.5,2,0,0,9
2,21,4,0,2,0,0,9
"""


def test_a_table_is_read_by_its_titles(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(TABLE)
    log = read_gym_log(path, outcomes=True)
    assert [each["observation"].tolist() for each in log.paths] == [[[0, 10], [1, 11], [2, 12]], [[3, 20], [4, 21]]]
    assert log.paths[0]["actions"].flatten().tolist() == [-1.0, 0.0]
    assert log.paths[1]["reward"].tolist() == [0, 2]
    path.write_text(TABLE.replace("action", "torque"))
    with pytest.raises(DataError, match="no column for the actions: name them action_0"):
        read_gym_log(path)
    path.write_text(TABLE.replace("21,4,0", "21,four,0"))
    with pytest.raises(DataError, match="row 5 has 'four', which is not a number"):
        read_gym_log(path)
    path.write_text(TABLE.replace("obs_1", "obs_0"))
    with pytest.raises(DataError, match="two columns for part 0"):
        read_gym_log(path)
    path.write_text("1,2\n3,4\n")
    with pytest.raises(DataError, match="no row of titles"):
        read_gym_log(path)


def test_whole_numbers_in_a_table_are_choices_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("obs_0,action\n1,0\n2,1\n3,2\n4,0\n")
    log = read_gym_log(path)
    assert torch.equal(log.paths[0]["actions"], torch.eye(3))
    assert log.notes == ("The actions are whole numbers, so they were read as choices.",)
    path.write_text("obs_0,action\n1,0\n2,1\n3,-2\n4,0\n")
    assert read_gym_log(path).low is not None


def test_images_of_several_sizes_are_refused(tmp_path: Path) -> None:
    frames = np.empty(3, dtype=object)
    frames[:] = [np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)]
    np.savez(tmp_path / "log.npz", frames=frames, actions=np.zeros(3))
    with pytest.raises(DataError, match=r"frames holds Python objects.* several sizes: bring all to one size"):
        read_gym_log(tmp_path / "log.npz")


def test_a_plant_of_images_is_recorded_as_images() -> None:
    class Camera(gymnasium.Env[np.ndarray, np.ndarray]):
        observation_space = gymnasium.spaces.Box(0, 255, (4, 6, 3), np.uint8)
        action_space = gymnasium.spaces.Box(-1, 1, (1,))

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            self.film = np.zeros((4, 6, 3), np.uint8)
            return self.film, {}

        def step(self, action: np.ndarray) -> Any:
            self.film += 1  # a plant may write into the same memory
            return self.film, 0.0, False, False, {}

    gymnasium.register("lowland-test/Camera-v0", entry_point=lambda: Camera(), disable_env_checker=True)
    try:
        log = record_gym_log("lowland-test/Camera-v0", steps=6, longest=3)
    finally:
        del gymnasium.registry["lowland-test/Camera-v0"]
    assert (log.shape, log.paths[0]["observation"].dtype) == ((4, 6, 3), torch.uint8)
    assert log.paths[0]["observation"][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
