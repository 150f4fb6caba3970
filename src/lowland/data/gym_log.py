"""Logs of Gymnasium plants: observations, actions and the ends of episodes, from and to .npz files.

Shape letters: N steps of the whole log, L of an episode, D size of an observation, A of an action.
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

from lowland.bounded import read_arrays
from lowland.errors import DataError, OptionError
from lowland.files import regular, replacing

OBSERVATIONS = ("observations", "observation", "obs", "states")
ACTIONS = ("actions", "action", "act")
FOLLOWING = ("next_observations", "next_observation", "next_obs")
ENDS = ("terminations", "terminals", "terminated", "truncations", "truncated", "timeouts", "dones", "done")
LENGTHS = ("episode_ends",)
BOUNDS = ("action_low", "action_high")


@dataclasses.dataclass(frozen=True)
class GymLog:
    """Episodes of a plant. Actions are fractions of their bounds, from −1 to 1, or one-hot if they were discrete.

    Attributes:
        paths: for each episode {"observation": (L + 1, D), "actions": (L, A)}, float32; see `lowland.worlds.windows`.
        low, high: (A,), the bounds in the units of the plant: its action is low + (a + 1)/2 · (high − low). None for
            discrete actions.
        name: name of the environment or the file.
        dropped: a sentence for each kind of data that was left out.
    """

    paths: tuple[Mapping[str, Tensor], ...]
    low: np.ndarray | None
    high: np.ndarray | None
    name: str
    dropped: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """N, the number of transitions in all episodes."""
        return sum(len(path["actions"]) for path in self.paths)

    @property
    def sizes(self) -> tuple[int, int]:
        """D and A."""
        return self.paths[0]["observation"].shape[1], self.paths[0]["actions"].shape[1]

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
            cut = round(len(paths[0]["actions"]) * (1 - share))
            first = {"observation": paths[0]["observation"][: cut + 1], "actions": paths[0]["actions"][:cut]}
            last = {"observation": paths[0]["observation"][cut:], "actions": paths[0]["actions"][cut:]}
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
                observation, actions = path["observation"][before + 1 : after], path["actions"][before + 1 : after - 1]
                segments.append({"observation": observation, "actions": actions})
    return segments


def read_gym_log(path: str | Path) -> GymLog:
    """Read observations, actions and episode ends from an .npz file, as named by D4RL, Minari and common scripts.

    Required are observations (N, …) under one of `observations`, `obs`, `states`, and actions (N,) or (N, A) under one
    of `actions`, `act`: action n is taken at observation n. Episode ends are read from any of `terminations`,
    `terminals`, `truncations`, `timeouts`, `dones` (N,), or from `episode_ends` (number of steps up to each end);
    without any the log is one episode. `next_observations` keep the last step of an episode, which is dropped without
    them. `action_low` and `action_high` are the bounds of the actions; without them those of the log are taken. Integer
    actions are discrete choices and become one-hot.

    A step with NaN or infinity ends its episode; what follows is a new episode.

    Raises:
        DataError: for a file that is missing, corrupt, or without the arrays above; for shapes that do not fit; or if
            no episode has two steps left.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/log.npz", observations=np.zeros((5, 2)), actions=np.ones((5, 1)))
    ...     log = read_gym_log(f"{folder}/log.npz")
    >>> log.sizes, log.steps
    ((2, 1), 4)
    """
    path = Path(path)
    arrays = _open(path)
    observations, actions = _one_of(arrays, OBSERVATIONS, path), _one_of(arrays, ACTIONS, path)
    if len(observations) != len(actions):
        extra = " The last observation has no action: drop it." if len(observations) == len(actions) + 1 else ""
        raise DataError(f"{path} has {len(observations)} observations but {len(actions)} actions.{extra}")
    if len(actions) < 2:
        raise DataError(f"{path} holds {len(actions)} steps: at least two are needed.")
    observations = _single(observations)
    following = next((arrays[name] for name in FOLLOWING if name in arrays), None)
    if following is not None:
        following = _single(following)
        if following.shape != observations.shape:
            raise DataError(
                f"{path}: next observations have the shape {following.shape}, observations {observations.shape}."
            )
    shares, low, high = _shares(actions, arrays, path)
    good = np.asarray(np.isfinite(observations).all(axis=1) & np.isfinite(shares).all(axis=1))
    if following is not None:
        good &= np.isfinite(following).all(axis=1)
    dropped = ()
    if not good.all():
        dropped = (f"{int((~good).sum())} of {len(good)} steps have NaN or infinity and were left out.",)
    paths = _cut(observations, shares, following, good, _last(arrays, len(actions), path))
    if not paths:
        raise DataError(
            f"{path} has no two finite steps in a row: nothing can be learned from it. {' '.join(dropped)}".strip()
        )
    return GymLog(paths, low, high, path.stem, dropped)


def write_gym_log(log: GymLog, path: str | Path) -> Path:
    """Write a log as an .npz file that `read_gym_log` reads, with actions in the units of the plant.

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


def _open(path: Path) -> dict[str, np.ndarray]:
    with regular(path).open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise DataError(f"{path} holds a single array: save observations and actions by name with np.savez.")
    arrays = read_arrays(path, str(path))
    for name in (*FOLLOWING, *BOUNDS, *ENDS, *LENGTHS):
        array = arrays.get(name)
        if array is not None and (array.dtype.kind not in "fiub" or (not array.ndim and name not in BOUNDS)):
            raise DataError(f"{path}: {name} is {array.dtype} of shape {array.shape}, but numbers (N, …) are needed.")
    return arrays


def _single(values: np.ndarray) -> np.ndarray:
    """(N, D) in float32; values that overflow become infinite and are left out later, like other non-finite ones."""
    with np.errstate(over="ignore"):
        return values.reshape(len(values), -1).astype(np.float32)


def _one_of(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], path: Path) -> np.ndarray:
    for name in names:
        if name in arrays:
            array = arrays[name]
            if array.dtype.kind not in "fiub" or not array.ndim:
                raise DataError(
                    f"{path}: {name} is {array.dtype} of shape {array.shape}, but numbers (N, …) are needed."
                )
            return array
    found = ", ".join(arrays) or "nothing"
    raise DataError(f"{path} has no array called {names[0]} (or {', '.join(names[1:])}), only {found}.")


def _shares(
    actions: np.ndarray, arrays: Mapping[str, np.ndarray], path: Path
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Actions (N, A) as fractions of their bounds, and the bounds."""
    if actions.dtype.kind in "iu" and (actions.ndim == 1 or actions.shape[1:] == (1,)) and BOUNDS[0] not in arrays:
        numbers = actions.reshape(-1)
        if numbers.min() < 0 or numbers.max() > 1000:
            raise DataError(
                f"{path}: actions are whole numbers from {numbers.min()} to {numbers.max()}, but choices are counted "
                "from 0: save real-valued actions as floats."
            )
        return np.eye(int(numbers.max()) + 1)[numbers], None, None
    actions = actions.reshape(len(actions), -1).astype(np.float64)
    size = actions.shape[1]
    bounds = []
    for name, extreme in zip(BOUNDS, (np.nanmin, np.nanmax), strict=True):
        finite = np.where(np.isfinite(actions), actions, np.nan)
        known = arrays[name] if name in arrays else None if np.isnan(finite).all() else extreme(finite, axis=0)
        if known is None or known.size not in (1, size):
            raise DataError(f"{path}: {name} must have {size} numbers, one for each part of an action.")
        bounds.append(np.broadcast_to(known.ravel(), (size,)).astype(np.float32))
    low, high = bounds
    if not (high >= low).all():
        raise DataError(
            f"{path}: {BOUNDS[0]} is above {BOUNDS[1]} in part {int((high < low).argmax())} of the actions."
        )
    # A constant component gets bounds around its value.
    low, high = np.where(high > low, low, low - 1), np.where(high > low, high, high + 1)
    return to_shares(actions, low, high), low, high


def _last(arrays: Mapping[str, np.ndarray], count: int, path: Path) -> np.ndarray:
    """(N,) of booleans: whether an episode ends with that step."""
    last = np.zeros(count, dtype=bool)
    for name in ENDS:
        if name in arrays:
            flags = arrays[name].reshape(-1)
            if len(flags) != count:
                raise DataError(f"{path}: {name} has {len(flags)} entries, but there are {count} steps.")
            last |= flags.astype(bool)
    for name in LENGTHS:
        if name in arrays:
            ends = arrays[name].reshape(-1)
            if not ((ends >= 1) & (ends <= count)).all():
                raise DataError(
                    f"{path}: {name} must count from 1 to {count}, but goes from {ends.min()} to {ends.max()}."
                )
            last[ends.astype(np.int64) - 1] = True
    last[-1] = True
    return last


def _cut(
    observations: np.ndarray, shares: np.ndarray, following: np.ndarray | None, good: np.ndarray, last: np.ndarray
) -> tuple[Mapping[str, Tensor], ...]:
    """The finite segments of the episodes, at least one transition each."""
    paths = []
    edges = np.flatnonzero(last | ~good) + 1
    for first, end in zip(np.concatenate([[0], edges[:-1]]), edges, strict=True):
        stop = end if good[end - 1] else end - 1
        seen, taken = observations[first:stop], shares[first:stop]
        if following is not None and stop > first:
            seen = np.concatenate([seen, following[stop - 1 : stop]])
        else:
            taken = taken[:-1]
        if len(taken):
            paths.append({"observation": as_tensor(seen), "actions": as_tensor(taken)})
    return tuple(paths)


def as_tensor(values: np.ndarray) -> Tensor:
    """An array as a float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
