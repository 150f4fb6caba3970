"""Data sets of Minari are logs; without the package, or the data set, that is one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from lowland.data.minari_log import read_minari
from lowland.errors import DataError


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a data set: an episode that the limit of time cuts, and one that is left after 30 steps."""
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    plant, episodes = gymnasium.make("Pendulum-v1"), []
    for seed, length in ((0, 200), (1, 30)):
        seen, taken, paid = [plant.reset(seed=seed)[0]], [], []
        for action in np.random.default_rng(seed).uniform(-2, 2, (length, 1)).astype(np.float32):
            observation, reward, *_ = plant.step(action)
            seen.append(observation)
            taken.append(action)
            paid.append(float(reward))
        cut = [False] * (length - 1) + [True]
        episodes.append(
            minari.data_collector.EpisodeBuffer(seed, None, None, seen, taken, paid, [False] * length, cut, {})
        )
    minari.create_dataset_from_buffers(
        "pendulum/mine-v0",
        buffer=episodes,
        env=plant,
        algorithm_name="random",
        author="none",
        author_email="none@none",
        code_permalink="none",
        ref_min_score=0.0,
        ref_max_score=1.0,
    )
    return tmp_path / "pendulum" / "mine-v0"


@pytest.mark.filterwarnings("ignore")  # Minari's own, of which there are many
def test_a_data_set_is_read_by_its_id_or_folder(recorded: Path) -> None:
    log, same = (read_minari(name, outcomes=True) for name in ("pendulum/mine-v0", str(recorded)))
    assert [len(path["actions"]) for path in log.paths] == [200, 30]
    assert (log.sizes, log.steps) == ((3, 1), same.steps)
    assert log.low is not None
    np.testing.assert_allclose(log.low, -2)
    plant = gymnasium.make("Pendulum-v1")
    np.testing.assert_allclose(log.paths[0]["observation"][0].numpy(), plant.reset(seed=0)[0], atol=1e-6)
    reward = plant.step(2 * log.paths[0]["actions"][0].numpy())[1]
    assert float(log.paths[0]["reward"][1]) == pytest.approx(float(reward), abs=1e-4)
    assert all(bool((path["alive"] == 1).all()) for path in log.paths)


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(DataError, match=r"pip install 'lowland\[minari\]'"):
        read_minari("mujoco/hopper/medium-v0")


@pytest.mark.filterwarnings("ignore")
def test_without_a_connection_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("minari.storage.hosting.download_dataset", offline)
    with pytest.raises(DataError, match=r"could not be downloaded \(no route to host\): run `minari download"):
        read_minari("mujoco/hopper/medium-v0")
