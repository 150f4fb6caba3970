"""The recipe `latent` on tiny data: rooms that are made, and a log of one's own with a goal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.data.gym_log import write_gym_log
from lowland.envs.two_rooms import fixed_rooms, record_rooms
from lowland.errors import DataError, OptionError
from lowland.recipes.base import execute, load, start
from lowland.training.export import load_world

SMALL = {
    "steps": 6,
    "size": 16,
    "code": 8,
    "hidden": 8,
    "updates": 4,
    "clip": 3,
    "seeds": 1,
    "horizon": 3,
    "samples": 4,
    "compared_updates": 4,
}


def own(folder: Path) -> dict[str, str]:
    """A log of ten walks, and its first image as the goal."""
    log = record_rooms(fixed_rooms, episodes=10, steps=6, size=16)
    write_gym_log(log, folder / "runs.npz")
    np.save(folder / "goal.npy", log.paths[0]["observation"][0].numpy())
    return {"log": str(folder / "runs.npz"), "goal": str(folder / "goal.npy")}


def test_an_own_log_gives_a_world_and_a_plan(tmp_path: Path) -> None:
    config = load("latent").from_options({**SMALL, **own(tmp_path)})
    run = execute(config, start(config, tmp_path / "made", "cpu"))
    assert (run.folder / "figures" / "plan.svg").is_file() or list((run.folder / "figures").glob("plan*"))
    world = load_world(run.checkpoints / "world")
    assert world.step({"image": torch.zeros(2, 2, 16, 16)}, torch.zeros(2, 2))["code"].shape == (2, 8)
    assert {row["method"] for row in run.results} == {"learned world", "copy of the last code (baseline)"}


def test_what_is_no_goal_is_one_sentence(tmp_path: Path) -> None:
    files = own(tmp_path)
    with pytest.raises(OptionError, match="log and goal belong together"):
        load("latent").from_options({**SMALL, "log": files["log"]})
    np.save(tmp_path / "large.npy", np.zeros((20, 20, 2), dtype=np.uint8))
    config = load("latent").from_options({**SMALL, **files, "goal": str(tmp_path / "large.npy")})
    with pytest.raises(DataError, match=r"has the shape \(20, 20, 2\), but the images of the log have \(16, 16, 2\)"):
        execute(config, start(config, tmp_path / "made", "cpu"))


def test_a_log_of_vectors_or_without_actions_is_refused(tmp_path: Path) -> None:
    files = own(tmp_path)
    np.savez(
        tmp_path / "vectors.npz", observations=np.random.default_rng(0).normal(size=(40, 3)), actions=np.eye(40)[:, :2]
    )
    np.savez(tmp_path / "idle.npz", images=np.zeros((40, 16, 16, 2), dtype=np.uint8))
    for name, words in {"vectors": "images .* are needed here", "idle": "has no array called actions"}.items():
        config = load("latent").from_options({**SMALL, **files, "log": str(tmp_path / f"{name}.npz")})
        with pytest.raises(DataError, match=words):
            execute(config, start(config, tmp_path / "made", "cpu"))
