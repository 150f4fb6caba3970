"""Offline reinforcement learning by `d3rlpy`, trained on the same log as a model: the rivals of a plant's policies.

Shape letters: B samples, D size of an observation, A of an action.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowland.errors import OptionError, nearest
from lowland.worlds.base import State

RIVALS = ("TD3+BC", "IQL", "CQL")
_KINDS = {"TD3+BC": "TD3PlusBCConfig", "IQL": "IQLConfig", "CQL": "CQLConfig"}


def rivals_here() -> bool:
    """Whether `d3rlpy` is installed."""
    return importlib.util.find_spec("d3rlpy") is not None


def offline_policy(
    name: str, paths: Sequence[Mapping[str, Tensor]], updates: int, seed: int = 0, batch: int = 256
) -> tuple[Callable[[State], Tensor], float]:
    """A policy {"observation": (B, D)} → (B, A) by a method of `d3rlpy`, and the CPU seconds of its training.

    TD3+BC (Fujimoto & Gu 2021), IQL (Kostrikov et al. 2022) and CQL (Kumar et al. 2020), with the defaults of
    `d3rlpy`, observations and rewards z-scored.

    Args:
        name: one of `RIVALS`.
        paths: episodes with rewards and ends, as in `GymLog.paths`.
        updates: gradient steps.
        seed: of the first weights and of the order of the data.
        batch: transitions of an update.

    Raises:
        OptionError: for another name, or if `d3rlpy` is missing.
    """
    if name not in RIVALS:
        raise OptionError(f"There is no rival called {name!r}. {nearest(name, RIVALS)}")
    if not rivals_here():
        raise OptionError("The rivals need d3rlpy, which is not installed: pip install --no-deps d3rlpy.")
    with torch.random.fork_rng(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        before = np.random.get_state()  # noqa: NPY002  d3rlpy draws from the global state, which is put back
        try:
            return _trained(name, paths, updates, seed, batch)
        finally:
            np.random.set_state(before)  # noqa: NPY002  the same


def _trained(
    name: str, paths: Sequence[Mapping[str, Tensor]], updates: int, seed: int, batch: int
) -> tuple[Callable[[State], Tensor], float]:
    d3rlpy: Any = importlib.import_module("d3rlpy")
    d3rlpy.seed(seed)
    ends = [np.arange(1, len(path["actions"]) + 1) == len(path["actions"]) for path in paths]
    dead = [float(path["alive"][-1]) == 0 for path in paths]
    data = d3rlpy.dataset.MDPDataset(
        observations=np.concatenate([path["observation"][:-1].numpy() for path in paths]),
        actions=np.concatenate([path["actions"].numpy() for path in paths]),
        rewards=np.concatenate([path["reward"][1:].numpy() for path in paths]),
        terminals=np.concatenate([last * done for last, done in zip(ends, dead, strict=True)]),
        timeouts=np.concatenate([last * (not done) for last, done in zip(ends, dead, strict=True)]),
    )
    config: Any = getattr(d3rlpy.algos, _KINDS[name])(
        batch_size=batch,
        observation_scaler=d3rlpy.preprocessing.StandardObservationScaler(),
        reward_scaler=d3rlpy.preprocessing.StandardRewardScaler(),
    )
    learner = config.create(device="cpu:0")
    began = time.process_time()
    learner.fit(
        data, n_steps=updates, n_steps_per_epoch=updates, show_progress=False, save_interval=updates + 1,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
    )  # fmt: skip
    seconds = time.process_time() - began

    def act(state: State) -> Tensor:
        return torch.from_numpy(learner.predict(state["observation"].numpy())).float().clamp(-1, 1)

    return act, seconds
