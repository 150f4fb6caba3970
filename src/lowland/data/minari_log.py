"""Reads data sets of Minari, the successor of D4RL, as logs of plants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lowland.data.gym_log import GymLog
from lowland.data.gym_read import gym_log
from lowland.errors import DataError


def read_minari(name: str, outcomes: bool = False) -> GymLog:
    """A data set of Minari, of this machine or downloaded, such as "mujoco/hopper/medium-v0".

    Minari's own recorder is `minari.DataCollector`; a data set that it made is read by its id too.

    Args:
        name: its id, or the path of its folder.
        outcomes: see `read_gym_log`.

    Raises:
        DataError: if the package `minari` is missing, the data set is not here and cannot be downloaded, or its
            observations or actions are no plain arrays.
    """
    try:
        import minari
    except ImportError:
        raise DataError(
            "Reading a data set of Minari needs its package: pip install 'lowland[minari]', or save the log as .npz."
        ) from None
    try:
        inside = next((part for part in (Path(name) / "data", Path(name)) if (part / "metadata.json").is_file()), None)
        found: Any = minari.load_dataset(name, download=True) if inside is None else minari.MinariDataset(inside)
        episodes = list(found.iterate_episodes())
        space = found.action_space
    except Exception as error:  # noqa: BLE001  a download fails in many ways
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"The data set {name!r} of Minari is not on this machine and could not be downloaded ({reason}): run "
            f"`minari download {name}` where there is a connection, or check its name with `minari list remote`."
        ) from None
    if not episodes or not all(
        isinstance(part, np.ndarray) for one in episodes for part in (one.observations, one.actions)
    ):
        raise DataError(
            f"The data set {name!r} of Minari needs observations and actions that are arrays, not dictionaries."
        )
    arrays: dict[str, np.ndarray] = {
        "observations": np.concatenate([one.observations[:-1] for one in episodes]),
        "next_observations": np.concatenate([one.observations[1:] for one in episodes]),
        "episode_ends": np.cumsum([len(one.actions) for one in episodes]),
    }
    for key in ("actions", "rewards", "terminations", "truncations"):
        arrays[key] = np.concatenate([getattr(one, key) for one in episodes])
    if hasattr(space, "low"):
        arrays |= {"action_low": np.ravel(space.low), "action_high": np.ravel(space.high)}
    return gym_log(arrays, f"Minari's {name}", name, outcomes)
