"""From a log of a user's own to a policy that runs without Lowland, in one command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from lowland.cli import main
from lowland.envs import RecordLog
from lowland.planning import load_policy

TINY = (
    "--seeds 1 --members 2 --hidden 8 --updates 3 --imitation-updates 3 --policy-updates 2 --weights 0 1 --horizon 2 "
    "--promise 5"
).split()


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_from_a_recorded_log_to_a_policy_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RecordLog(gymnasium.make("Pendulum-v1", max_episode_steps=40), "mine.npz") as env:
        env.action_space.seed(0)
        for seed in range(6):
            env.reset(seed=seed)
            for _ in range(40):
                env.step(env.action_space.sample())
    if kind == "csv":
        log = np.load("mine.npz")
        columns = np.column_stack(
            [np.arange(240) // 40, log["observations"], log["actions"], log["rewards"], log["truncations"]]
        )
        head = "episode,observation_0,observation_1,observation_2,action_0,reward,truncated"
        np.savetxt("mine.csv", columns, fmt="%.9g", delimiter=",", header=head, comments="")
    assert main(["run", "plant", "--log", f"mine.{kind}", *TINY]) == 0
    folder = tmp_path / "runs" / "plant" / "latest" / "policy"
    policy = load_policy(folder)
    assert {"promised", "held out", "behaviour", "sensitivity", "distance"} <= set(policy.certificate)
    assert "realised" not in policy.certificate, "nothing ran in the plant"
    assert policy.bounds is not None
    # A table has no bounds of the actions, so those of the log are taken.
    assert policy.bounds[1][0] == pytest.approx(2.0, abs=0 if kind == "npz" else 0.1)
    program = (
        "import sys; sys.modules['lowland'] = None; import numpy as np; from policy import load\n"
        "print(load('policy.safetensors').act(np.array([1.0, 0.0, 0.5]))[0])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == pytest.approx(float(policy.act(np.array([1.0, 0.0, 0.5]))[0]), abs=1e-6)
    assert "steps of mine" in (folder / "README.md").read_text()
