"""The recipe `world` runs on a log made on the spot and on a user's own, and resumes to the same results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lowland.data.gym_log import write_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.errors import DataError, LowlandError, OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.world import WorldRecipe
from lowland.training import load_world

BASELINES = {
    "copy the last state (baseline)",
    "constant velocity (baseline)",
    "deterministic + its past errors (baseline)",
}


def test_results_have_baselines_and_survive_a_resume(tmp_path: Path) -> None:
    config = WorldRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    assert {row["method"] for row in run.results} >= BASELINES
    assert all(row["measured"] is not None for row in run.results)
    for stage in ("scores", "latent-z"):
        (run.folder / "stages" / "seed-0" / f"{stage}.safetensors").unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results
    assert load_world(run.folder / "checkpoints" / "world").latents == 4


def test_images_of_traffic(tmp_path: Path) -> None:
    config = dataclasses.replace(WorldRecipe.preset("smoke"), data="traffic", steps=2)
    run = execute(config, start(config, tmp_path, "smoke"))
    assert {"copy the last state (baseline)", "warp of the last frame"} <= {row["method"] for row in run.results}
    assert all(row["measured"] is not None for row in run.results)


def test_a_log_of_ones_own(tmp_path: Path) -> None:
    path = write_gym_log(record_gym_log("CartPole-v1", steps=400, longest=40), tmp_path / "mine.npz")
    config = dataclasses.replace(WorldRecipe.preset("smoke"), log=str(path))
    run = execute(config, start(config, tmp_path, "smoke"))
    assert all("mine" in row["data"] for row in run.results)
    assert (run.folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"observations": np.zeros((50, 2))}, "no array called actions"),
        ({"observations": np.zeros((3, 2)), "actions": np.zeros((3, 1))}, "at least 3 are needed"),
        (
            {"observations": np.zeros((40, 2)), "actions": np.zeros((40, 1)), "dones": np.arange(40) % 5 == 4},
            "None of the .* trajectories has 6 steps",
        ),
    ],
)
def test_logs_that_cannot_be_learned_from(arrays: dict[str, np.ndarray], words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", allow_pickle=False, **arrays)
    config = dataclasses.replace(WorldRecipe.preset("smoke"), log=str(tmp_path / "bad.npz"))
    with pytest.raises(LowlandError, match=words):
        execute(config, start(config, tmp_path, "smoke"))


def test_no_log_at_all(tmp_path: Path) -> None:
    config = dataclasses.replace(WorldRecipe.preset("smoke"), log=str(tmp_path / "missing.npz"))
    with pytest.raises(DataError, match="There is no log"):
        execute(config, start(config, tmp_path, "smoke"))


@pytest.mark.parametrize(
    "options", [{"data": "plan"}, {"pieces": 0}, {"seeds": 0}, {"futures": 2}, {"evaluated": 1}, {"steps": 0}]
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        WorldRecipe.from_options(options)
