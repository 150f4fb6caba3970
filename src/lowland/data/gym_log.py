"""Logs of plants: observations, actions, rewards and the ends of episodes.

Shape letters: L steps of an episode, D size of an observation, A of an action, H × W × C an image.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowland.errors import DataError, OptionError
from lowland.files import replacing


@dataclasses.dataclass(frozen=True)
class GymLog:
    """Episodes of a plant. Actions are fractions of their bounds, from −1 to 1, or one-hot if they were discrete.

    Attributes:
        paths: for each episode {"observation": (L + 1, D), "actions": (L, A)}, float32; see `lowland.worlds.windows`.
            Images stay (L + 1, H, W, C), and uint8 if they were. With outcomes also "reward" (L + 1,), that of the step
            before, 0 at first, and "alive" (L + 1,), 1 until the plant ends; an episode that is cut stays alive.
        low, high: (A,), the bounds in the units of the plant: its action is low + (a + 1)/2 · (high − low). None for
            discrete actions.
        name: name of the environment or the file.
        notes: a sentence for each kind of data that was left out or read in one of several ways.
    """

    paths: tuple[Mapping[str, Tensor], ...]
    low: np.ndarray | None
    high: np.ndarray | None
    name: str
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """N, the number of transitions in all episodes."""
        return sum(len(path["actions"]) for path in self.paths)

    @property
    def shape(self) -> tuple[int, ...]:
        """(D,), or (H, W, C) of images."""
        return tuple(self.paths[0]["observation"].shape[1:])

    @property
    def sizes(self) -> tuple[int, int]:
        """D and A.

        Raises:
            DataError: for a log of images.
        """
        if len(self.shape) != 1:
            raise DataError(
                f"{self.name} has images {self.shape} as observations, but vectors (D,) are needed here: `lowland run "
                "latent --log` learns from images."
            )
        return self.shape[0], self.paths[0]["actions"].shape[1]

    def check_changes(self) -> None:
        """Raise a DataError if nothing that is observed ever changes."""
        if not any(bool((path["observation"] != path["observation"][0]).any()) for path in self.paths):
            raise DataError(f"{self.name}: no observation ever changes, so there is nothing to learn.")

    def check_control(self) -> None:
        """Raise a DataError unless a model can learn from this log what an action does, and plans can choose it.

        >>> still = {"observation": torch.zeros(4, 2), "actions": torch.zeros(3, 1)}
        >>> GymLog((still,), np.array([-1.0]), np.array([1.0]), "still").check_control()
        Traceback (most recent call last):
        lowland.errors.DataError: still: the action never changes, so no model can learn what it does: vary it.
        """
        actions = torch.cat([path["actions"] for path in self.paths])
        if not bool((actions != actions[0]).any()):
            raise DataError(f"{self.name}: the action never changes, so no model can learn what it does: vary it.")
        if self.low is None or self.high is None:
            raise DataError(
                f"{self.name} has discrete actions, but plans choose real-valued ones: record a plant whose actions "
                "are a bounded box, or save real-valued actions as floats in an .npz file."
            )
        self.check_changes()

    def split(self, share: float, seed: int = 0) -> tuple[GymLog, GymLog]:
        """Training and held-out part, by whole episodes; a single episode is split in time.

        Args:
            share: fraction of the episodes to hold out.
            seed: of the random choice.

        Raises:
            OptionError: for a share that is not in (0, 1).
        """
        if not 0 < share < 1:
            raise OptionError(f"The share to hold out must be in (0, 1), but it is {share}.")
        paths = self.paths
        if len(paths) == 1:
            steps = len(paths[0]["actions"])
            cut = round(steps * (1 - share))
            first, last = segment(paths[0], 0, cut), segment(paths[0], cut, steps)
            return dataclasses.replace(self, paths=(first,)), dataclasses.replace(self, paths=(last,))
        order = np.random.default_rng(seed).permutation(len(paths))
        count = min(max(1, round(share * len(paths))), len(paths) - 1)
        parts = [tuple(paths[n] for n in sorted(some)) for some in (order[count:], order[:count])]
        return dataclasses.replace(self, paths=parts[0]), dataclasses.replace(self, paths=parts[1])


def outside(
    paths: Sequence[Mapping[str, Tensor]], inside: Callable[[Tensor], Tensor], least: int = 1
) -> list[dict[str, Tensor]]:
    """Remove a region of states from a log: each episode is cut into the segments outside the region.

    Args:
        paths: episodes, as in `GymLog.paths`.
        inside: observations (L + 1, D) → (L + 1,) booleans.
        least: minimum number of transitions of a segment.

    >>> path = {"observation": torch.arange(6.0)[:, None], "actions": torch.zeros(5, 1)}
    >>> [part["observation"][:, 0].tolist() for part in outside([path], lambda seen: seen[:, 0] == 2)]
    [[0.0, 1.0], [3.0, 4.0, 5.0]]
    """
    segments = []
    for path in paths:
        bounds = [-1, *inside(path["observation"]).nonzero()[:, 0].tolist(), len(path["observation"])]
        for before, after in itertools.pairwise(bounds):
            if after - before >= least + 2:
                segments.append(segment(path, before + 1, after - 1))
    return segments


def segment(path: Mapping[str, Tensor], first: int, last: int) -> dict[str, Tensor]:
    """Steps `first` up to `last` of an episode, with the observation after the last.

    >>> path = {"observation": torch.arange(6.0)[:, None], "actions": torch.zeros(5, 1)}
    >>> {name: len(part) for name, part in segment(path, 1, 3).items()}
    {'observation': 3, 'actions': 2}
    """
    return {name: part[first : last + (name != "actions")] for name, part in path.items()}


def write_gym_log(log: GymLog, path: str | Path) -> Path:
    """Write a log as an .npz file that `read_gym_log` reads, with actions in the units of the plant.

    Rewards and ends are written if the log has its outcomes.

    Raises:
        DataError: if the file cannot be written.
    """
    path = Path(path)
    observations = [each["observation"].numpy() for each in log.paths]
    shares = np.concatenate([each["actions"].numpy() for each in log.paths])
    arrays: dict[str, Any] = {
        "observations": np.concatenate([each[:-1] for each in observations]),
        "next_observations": np.concatenate([each[1:] for each in observations]),
        "episode_ends": np.cumsum([len(each["actions"]) for each in log.paths]),
        "actions": shares.argmax(axis=1),
    }
    if log.low is not None and log.high is not None:
        arrays |= {"actions": from_shares(shares, log.low, log.high), "action_low": log.low, "action_high": log.high}
    if all("reward" in each for each in log.paths):
        arrays["rewards"] = np.concatenate([each["reward"][1:].numpy() for each in log.paths])
        arrays["terminations"] = np.concatenate([each["alive"][1:].numpy() == 0 for each in log.paths])
        arrays["truncations"] = np.zeros(len(shares), dtype=bool)
        arrays["truncations"][arrays["episode_ends"] - 1] = ~arrays["terminations"][arrays["episode_ends"] - 1]
    with replacing(path, DataError) as file:
        np.savez_compressed(file, **arrays)
    return path


def to_shares(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Actions in the units of the plant → fractions of their bounds in [−1, 1]."""
    return 2 * (actions - low) / (high - low) - 1


def from_shares(shares: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Fractions of their bounds in [−1, 1] → actions in the units of the plant.

    >>> from_shares(np.array([[0.0], [1.0]]), np.array([-2.0]), np.array([4.0]))
    array([[1.],
           [4.]])
    """
    return low + (shares + 1) / 2 * (high - low)


def as_observations(values: np.ndarray) -> np.ndarray:
    """Observations (N, …) as (N, D) or images (N, H, W, C) in float32, or as images in uint8.

    Bytes (N, H, W) are images with C = 1. Values that overflow become infinite.

    >>> as_observations(np.zeros((5, 8, 6), np.uint8)).shape, as_observations(np.zeros((5, 8, 6))).shape
    ((5, 8, 6, 1), (5, 48))
    """
    if values.ndim == 4 or (values.ndim == 3 and values.dtype == np.uint8):
        values = values.reshape(*values.shape, *[1] * (4 - values.ndim))
        if values.dtype == np.uint8:
            return values
    else:
        values = values.reshape(len(values), -1)
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def as_tensor(values: np.ndarray) -> Tensor:
    """An array as a tensor, in uint8 if it is, otherwise in float32."""
    kind = np.uint8 if values.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.ascontiguousarray(values, dtype=kind))
