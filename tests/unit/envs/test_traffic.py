"""The environments keep Gymnasium's contract, and one of a batch is the one alone."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import lowland.envs  # noqa: F401 (registers)
from lowland.data.tracks import Tracks
from lowland.envs.traffic import TrafficReplay, TrafficReplayVector
from lowland.errors import DomainError, OptionError

NAME = "lowland/TrafficReplay-v0"


@pytest.mark.parametrize("image", [None, (39, 8)])
def test_the_checker_of_gymnasium_is_content(log: Tracks, image: tuple[int, int] | None) -> None:
    env = gymnasium.make(NAME, tracks=log, image=image, render_mode="rgb_array")
    check_env(env.unwrapped)


def test_it_is_made_by_its_module_and_name_alone() -> None:
    assert "episode_number" in gymnasium.make(f"lowland.envs:{NAME}", tracks="validation").reset(seed=1)[1]


def test_an_episode_ends_and_is_drawn(log: Tracks) -> None:
    env = TrafficReplay(log, render_mode="rgb_array")
    _, info = env.reset(options={"episode": 4})
    assert info["episode_number"] == 4
    ended = False
    while not ended:
        observation, reward, terminated, truncated, info = env.step(np.array([1.0, 0.0], np.float32))
        ended = terminated or truncated
        assert env.observation_space.contains(observation)
        assert -2.2 - 1e-6 <= reward <= 0
    assert info["reason"] in ("collision", "off road", "reached")
    picture = env.render()
    assert picture is not None
    assert picture.shape == (272, 1280, 3)
    with pytest.raises(OptionError, match="Episodes go from 0"):
        env.reset(options={"episode": 10_000})
    with pytest.raises(OptionError, match="rgb_array"):
        TrafficReplay(log, render_mode="human")
    with pytest.raises(DomainError, match=r"shares of its bounds"):
        env.step(np.array([2.0, 0.0]))


def test_a_batch_is_its_environments_one_by_one(log: Tracks) -> None:
    batch = gymnasium.make_vec(NAME, num_envs=4, vectorization_mode="vector_entry_point", tracks=log)
    together, infos = batch.reset(seed=3)
    alone = [TrafficReplay(log) for _ in range(4)]
    for env, episode in zip(alone, infos["episode_number"], strict=True):
        env.reset(options={"episode": int(episode)})
    generator = np.random.default_rng(0)
    over = np.zeros(4, dtype=bool)
    for _ in range(25):
        actions = (0.2 * generator.standard_normal((4, 2))).clip(-1, 1).astype(np.float32)
        together, rewards, ended, cut, _ = batch.step(actions)
        for k in np.flatnonzero(~over):
            single, reward, terminated, truncated, _ = alone[k].step(actions[k])
            assert all(np.array_equal(single[name], together[name][k]) for name in single)
            assert (reward, terminated, truncated) == (pytest.approx(float(rewards[k])), ended[k], cut[k])
        over |= ended | cut


def test_those_that_are_done_begin_again(log: Tracks) -> None:
    batch = TrafficReplayVector(6, log)
    batch.reset(seed=0)
    begun = 0
    done = np.zeros(6, dtype=bool)
    for _ in range(120):
        observation, rewards, ended, cut, info = batch.step(np.tile(np.float32([0.3, 0.0]), (6, 1)))
        assert (rewards[done] == 0).all()
        assert not (ended | cut)[done].any()
        assert (info["distance"][done] == 0).all()
        begun += int(done.sum())
        done = ended | cut
    assert begun > 6
    assert batch.observation_space.contains(observation)


def test_a_cost_that_is_not_a_number_is_named(log: Tracks) -> None:
    env = TrafficReplay(log, cost=lambda state, action: torch.full((len(action),), torch.nan))
    env.reset(seed=0)
    with pytest.raises(DomainError, match="The cost is not a finite number in 1 of 1"):
        env.step(np.zeros(2))
    with pytest.raises(OptionError, match="num_envs"):
        TrafficReplayVector(0, log)
