"""The recipe `plant`: from a log to a policy file in one command, with and without the plant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.data.gym_log import write_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.errors import DataError, OptionError
from lowland.planning import load_policy
from lowland.recipes.base import LARGEST_SEED, execute, load, start
from lowland.reports.run import Run

TINY = {
    "seeds": 1, "members": 2, "hidden": 8, "updates": 3, "imitation_updates": 3, "policy_updates": 2,
    "weights": (0.0, 1.0), "horizon": 2, "promise": 5, "rivals": (),
}  # fmt: skip


def test_the_page_has_all_methods_and_tables(smoke: Callable[[str], Run]) -> None:
    run = smoke("plant")
    methods = {row["method"] for row in run.results}
    assert {"behaviour of the log (baseline)", "planning by CEM, λ chosen", "model"} <= methods
    assert {"returns", "promises", "choice", "models", "promises-0"} <= {one.get("name") for one in run.elements}
    policy = load_policy(run.folder, "careful")
    assert policy.act({"observation": np.zeros(3)}).shape == (1,)


def test_a_log_without_a_plant_gives_a_policy_file(tmp_path: Path) -> None:
    path = write_gym_log(record_gym_log("Pendulum-v1", 300, longest=50, outcomes=True), tmp_path / "own.npz")
    config = load("plant").from_options({**TINY, "log": str(path)})
    run = execute(config, start(config, tmp_path / "runs"))
    assert not run.measured.has("careful", "return-0")
    assert run.measured.has("careful", "promised-0")
    assert load_policy(run.folder, "careful")({"observation": torch.zeros(2, 3)}).shape == (2, 1)


def test_a_resumed_run_has_the_same_numbers(tmp_path: Path) -> None:
    path = write_gym_log(record_gym_log("Pendulum-v1", 300, longest=50, outcomes=True), tmp_path / "own.npz")
    config = load("plant").from_options({**TINY, "log": str(path)})
    whole = execute(config, start(config, tmp_path / "runs"))
    weights = load_policy(whole.folder, "careful").state_dict()
    (whole.folder / "stages" / "seed-0" / "plant-0" / "policy" / "1.safetensors").unlink()
    again = execute(config, start(config, tmp_path / "runs", resume=whole.folder))
    assert all(
        torch.equal(part, weights[name]) for name, part in load_policy(again.folder, "careful").state_dict().items()
    )
    assert again.measured.each("careful", "promised-0") == whole.measured.each("careful", "promised-0")


def test_the_largest_seed_is_a_seed_like_others(tmp_path: Path) -> None:
    """It was multiplied by a thousand, beyond what a generator takes."""
    path = write_gym_log(record_gym_log("Pendulum-v1", 300, longest=50, outcomes=True), tmp_path / "own.npz")
    config = load("plant").from_options({**TINY, "log": str(path), "seed": LARGEST_SEED})
    assert execute(config, start(config, tmp_path / "runs")).results


def test_a_log_without_rewards_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.npz"
    noise = np.random.default_rng(0)
    np.savez(path, observations=noise.normal(size=(50, 2)), actions=noise.uniform(-1, 1, (50, 1)))
    config = load("plant").from_options({**TINY, "log": str(path)})
    with pytest.raises(DataError, match="reward"):
        execute(config, start(config, tmp_path / "runs"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"log": "a.npz", "minari": "b"}, "one log"),
        ({"env": ()}, "Nothing to learn from"),
        ({"weights": (1.0, 2.0)}, "rise from 0"),
        ({"rivals": ("SAC",)}, "no rival called 'SAC'"),
        ({"promise": 400}, "at most length"),
        ({"log": "a.npz", "env": ("A-v0", "B-v0")}, "of one plant"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        load("plant").from_options(options)
