"""The recipe `world` on a log made on the spot, on a user's own, and on images of traffic."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lowland.data.gym_log import write_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.data.logs import write_table
from lowland.data.traffic import traffic
from lowland.errors import DataError, LowlandError, OptionError
from lowland.recipes.base import execute, load, start
from lowland.recipes.control.world.recipe import WorldRecipe
from lowland.reports.run import Run
from lowland.training import load_world

BASELINES = {
    "copy the last state (baseline)",
    "constant velocity (baseline)",
    "deterministic + its past errors (baseline)",
}


def test_results_have_baselines_and_the_world_is_kept(smoke: Callable[[str], Run]) -> None:
    run = smoke("world")
    assert {row["method"] for row in run.results} >= BASELINES
    assert all(row["measured"] is not None for row in run.results)
    assert load_world(run.folder / "checkpoints" / "world").latents == 4


def test_images_of_traffic(tmp_path: Path) -> None:
    config = dataclasses.replace(WorldRecipe.preset("smoke"), data="traffic", steps=1, evaluated=3)
    run = execute(config, start(config, tmp_path, "smoke"))
    methods = {row["method"] for row in run.results}
    assert {"copy the last state (baseline)", "constant velocity (baseline)", "warp of the last frame"} <= methods
    assert all(row["measured"] is not None for row in run.results)
    assert {row["claim"][:4] for row in run.results} >= {"CRPS", "cell", "KL o", "erro", "squa"}
    assert (run.folder / "figures" / "futures.mp4").stat().st_size > 1000
    assert run.title == "What the traffic around a car will do, from a log"


def test_images_of_ones_own_traffic(tmp_path: Path) -> None:
    log = traffic("validation")[0]
    file = write_table(log.of(log.vehicles[200:240]), tmp_path / "my.csv")
    config = dataclasses.replace(
        WorldRecipe.preset("smoke"), data="traffic", log=str(file), steps=1, evaluated=2, transitions=60
    )
    run = execute(config, start(config, tmp_path, "smoke"))
    assert all("my.csv" in row["data"] for row in run.results)
    assert not run.stand_ins
    assert "Read as a table in metres" in (run.folder / "page.json").read_text()


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
        ({"observations": np.zeros((99, 2)), "actions": np.ones((99, 1))}, "no observation ever changes"),
        ({"observations": np.eye(3, 2), "actions": np.zeros((3, 1))}, "at least 3 are needed"),
        (
            {"observations": np.eye(40, 2), "actions": np.zeros((40, 1)), "dones": np.arange(40) % 5 == 4},
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
    with pytest.raises(DataError, match=r"missing\.npz cannot be read: No such file"):
        execute(config, start(config, tmp_path, "smoke"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "plan"}, "data must be one of plant, traffic"),
        ({"log": "my.npz", "gusts": 0.1}, "plant and gusts are for a log that is made here"),
        ({"data": "traffic", "plant": "CartPole-v1"}, "plant and gusts are for a log that is made here"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        load("world").from_options(options)
