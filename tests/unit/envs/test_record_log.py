"""What happens in an environment is in the log, with what ended and what was cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.wrappers import ClipAction

from lowland.data import read_gym_log
from lowland.envs import RecordLog
from lowland.errors import DomainError, OptionError


class Counter(gymnasium.Env[Any, Any]):
    """Shows the step, in the same memory each time; ends at 3."""

    def __init__(self, observations: Any = None, actions: Any = None) -> None:
        self.observation_space = observations or Box(0, 9, (2,))
        self.action_space = actions or Box(-2, 2, (1,))
        self.seen = np.zeros(self.observation_space.shape or (1,), self.observation_space.dtype)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seen[:] = 0
        return self.seen, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.seen += 1
        return self.seen, float(self.seen.flat[0]), bool(self.seen.flat[0] == 3), False, {}


def test_a_log_has_what_happened(tmp_path: Path) -> None:
    with RecordLog(Counter(), tmp_path / "mine.npz") as env:
        for length in (3, 2, 2):  # the first ends, the second is left by reset, the third by close
            env.reset()
            for step in range(length):
                env.step(np.array([step - 1.0]))
    log = read_gym_log(tmp_path / "mine.npz", outcomes=True)
    assert [path["observation"][:, 0].tolist() for path in log.paths] == [[0, 1, 2, 3], [0, 1, 2], [0, 1, 2]]
    assert [path["reward"].tolist() for path in log.paths] == [[0, 1, 2, 3], [0, 1, 2], [0, 1, 2]]
    assert [path["alive"].tolist() for path in log.paths] == [[1, 1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert log.paths[0]["actions"].flatten().tolist() == [-0.5, 0.0, 0.5]
    assert log.low is not None
    assert (float(log.low[0]), log.notes) == (-2.0, ())


def test_images_and_choices_are_kept(tmp_path: Path) -> None:
    env = RecordLog(Counter(Box(0, 255, (4, 6, 3), np.uint8), Discrete(2, start=5)), tmp_path / "mine.npz")
    env.reset()
    for action in (5, 6, 5):
        env.step(action)
    env.close()
    log = read_gym_log(tmp_path / "mine.npz")
    assert (log.shape, log.low, log.paths[0]["observation"].dtype) == ((4, 6, 3), None, torch.uint8)
    assert log.paths[0]["observation"][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert log.paths[0]["actions"].argmax(dim=1).tolist() == [0, 1, 0]


def test_a_log_saved_in_the_middle_is_one(tmp_path: Path) -> None:
    env = RecordLog(Counter(), tmp_path / "mine.npz")
    env.reset()
    for _ in range(2):
        env.step(np.zeros(1))
    env.save()
    assert read_gym_log(tmp_path / "mine.npz", outcomes=True).paths[0]["alive"].tolist() == [1, 1, 1]
    env.step(np.zeros(1))
    env.close()
    assert read_gym_log(tmp_path / "mine.npz", outcomes=True).paths[0]["alive"].tolist() == [1, 1, 1, 0]


def test_what_cannot_be_recorded(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Box of observations"):
        RecordLog(Counter(Dict({"a": Box(0, 1, (1,))})), tmp_path / "mine.npz")
    with pytest.raises(OptionError, match=r"recorded as \.npz"):
        RecordLog(Counter(), tmp_path / "mine.csv")
    with pytest.raises(OptionError, match="single environment"):
        RecordLog(gymnasium.make_vec("Pendulum-v1", 2), tmp_path / "mine.npz")  # pyright: ignore[reportArgumentType]
    env = RecordLog(Counter(), tmp_path / "mine.npz")
    with pytest.raises(OptionError, match="call reset"):
        env.step(np.zeros(1))
    env.reset()
    for action in (np.array([2.5]), np.array([np.nan]), np.zeros(2)):
        with pytest.raises(DomainError, match="ClipAction around RecordLog"):
            env.step(action)
    clipped = ClipAction(env)
    clipped.step(np.array([2.5]))
    clipped.step(np.array([-2.5]))
    clipped.close()
    assert read_gym_log(tmp_path / "mine.npz").paths[0]["actions"].flatten().tolist() == [1.0, -1.0]
    with pytest.raises(OptionError, match="would be lost"):
        RecordLog(Counter(), tmp_path / "mine.npz")
