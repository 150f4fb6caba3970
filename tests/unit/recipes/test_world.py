"""The recipe `world` runs on a log made on the spot and on a user's own, and resumes to the same results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.data.gym_log import write_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.data.logs import write_table
from lowland.data.tracks import Road, Tracks
from lowland.data.traffic import traffic
from lowland.envs.films import Films
from lowland.envs.picture import Camera
from lowland.envs.scene import Scene
from lowland.errors import DataError, LowlandError, OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.world import WorldRecipe
from lowland.recipes.world_traffic import carried_on, covered
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
    config = dataclasses.replace(WorldRecipe.preset("smoke"), data="traffic", steps=1, evaluated=3)
    run = execute(config, start(config, tmp_path, "smoke"))
    methods = {row["method"] for row in run.results}
    assert {"copy the last state (baseline)", "constant velocity (baseline)", "warp of the last frame"} <= methods
    assert all(row["measured"] is not None for row in run.results)
    assert {row["claim"][:4] for row in run.results} >= {"CRPS", "cell", "KL o", "erro", "squa"}
    assert (run.folder / "figures" / "futures.mp4").stat().st_size > 1000


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


def test_cars_that_go_on_evenly_are_where_they_are_drawn() -> None:
    """Positions are in single precision in both, so that a point at the edge of a car may fall to either side of it."""
    frames = np.arange(60)
    cars = [(7, 30.0, 5.55, 10.0), (8, 22.0, 1.85, 11.0), (9, 45.0, 1.85, 9.0)]
    columns = [np.concatenate([np.full(60, number) for number, *_ in cars]), np.tile(frames, 3)]
    columns.append(np.concatenate([x + 0.1 * speed * frames for _, x, _, speed in cars]))
    columns += [np.repeat([y for _, _, y, _ in cars], 60), np.full(180, 4.5), np.full(180, 1.8), np.zeros(180)]
    scene = Scene(Tracks(*columns, road=Road(0.0, 300.0, (0.0, 3.7, 7.4))))
    rows = scene.starts(10, before=6)
    films = Films([(scene, rows[::10])], Camera(64, 16), frames=4, steps=10)
    states = films.states(torch.arange(len(films)), steps=10)
    even = carried_on(films, states["own"][:, 1:], states["size"][:, 1:])
    torch.testing.assert_close(even, states["image"][:, 1:, -1], atol=2 / 16 + 1e-6, rtol=0)


def test_the_truth_is_covered_as_often_as_it_should_be() -> None:
    """The truth is a draw like the others: at each step 80 % of about 2,900 cells lie inside, give or take 0.75 %."""
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.rand(50, 10, 3, 60, generator=generator) - 0.7).clamp_min(0)
    level, shares = covered(drawn[:, :9], drawn[:, 9], generator)
    assert level == 0.8
    assert float((shares - 0.8).abs().max()) < 0.03


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
    "options",
    [
        {"data": "plan"}, {"seeds": 0}, {"futures": 2}, {"evaluated": 1}, {"steps": 0}, {"log": "my.npz", "gusts": 0.1},
        {"data": "traffic", "plant": "CartPole-v1"},
    ],
)  # fmt: skip
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        WorldRecipe.from_options(options)
