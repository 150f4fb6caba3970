"""Reads logs of plants: .npz and CSV files.

Shape letters: N steps of the whole log, D size of an observation, A of an action.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from lowland.bounded import read_arrays
from lowland.data.gym_log import GymLog, as_observations, as_tensor, to_shares
from lowland.data.series_files import read_cells
from lowland.errors import DataError
from lowland.files import regular

OBSERVATIONS = ("observations", "observation", "obs", "states", "images", "frames", "pixels")
ACTIONS = ("actions", "action", "act")
FOLLOWING = ("next_observations", "next_observation", "next_obs")
REWARDS = ("rewards", "reward")
TERMINATED = ("terminations", "terminals", "terminated", "terminal")
CUT = ("truncations", "truncated", "timeouts", "timeout")
DONE = ("dones", "done")
ENDS = (*TERMINATED, *CUT, *DONE)
LENGTHS = ("episode_ends",)
BOUNDS = ("action_low", "action_high")
_SLACK = 1e-3
_CHOICES = 100
_CELL = re.compile(r"(observation|obs|state|action|act)s?[_.\[ ]?(\d+)\]?")


def read_gym_log(path: str | Path, outcomes: bool = False) -> GymLog:
    """Read observations, actions and episode ends from a file, as named by D4RL, Minari and common scripts.

    An .npz file has observations (N, …) under one of `observations`, `obs`, `states`, `images`, `frames`, `pixels`, and
    actions (N,) or (N, A) under one of `actions`, `act`: action n is taken at observation n. Episode ends are read from
    any of `terminations`, `terminals`, `truncations`, `timeouts`, `dones` (N,), or from `episode_ends` (number of steps
    up to each end); without any the log is one episode. `next_observations` keep the last step of an episode, which is
    dropped without them. `action_low` and `action_high` are the bounds of the actions; without them those of the log
    are taken. Integer actions are discrete choices and become one-hot. Observations (N, H, W, C), or bytes (N, H, W),
    stay images; others are flattened to (N, D).

    A CSV file has one row for a step and columns `observation_0`, `observation_1`, … (or `obs_0`, `state_0`),
    `action_0`, … (or `action`), and, where it has them, `reward`, `terminated`, `truncated` or `done`, and `episode`,
    whose number changes with the episode. Other columns are left out.

    A step with NaN or infinity ends its episode; what follows is a new episode.

    In a table a single column of actions that are all whole numbers from 0 to 99 counts as choices, and a note says so.

    Args:
        path: of the .npz or .csv file.
        outcomes: read rewards and ends too, as "reward" and "alive" of `GymLog.paths`. Then an end must say whether the
            plant ended (`terminations`) or the recording was cut (`truncations`).

    Raises:
        DataError: for a file that is missing, corrupt, or without the arrays above; for shapes that do not fit; for
            actions outside their bounds; if no episode has two steps left; with outcomes, for a log without rewards or
            with ends that do not say what ended.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/log.npz", observations=np.zeros((5, 2)), actions=np.ones((5, 1)))
    ...     log = read_gym_log(f"{folder}/log.npz")
    >>> log.sizes, log.steps
    ((2, 1), 4)
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".tsv"):
        return gym_log(_open(path), str(path), path.stem, outcomes)
    log = gym_log(_table(path), str(path), path.stem, outcomes)
    said = () if log.low is not None else ("The actions are whole numbers, so they were read as choices.",)
    return dataclasses.replace(log, notes=(*log.notes, *said))


def gym_log(arrays: Mapping[str, np.ndarray], source: str, name: str, outcomes: bool = False) -> GymLog:
    """The log in arrays by name, as `read_gym_log` reads it from a file.

    Args:
        arrays: as in an .npz file.
        source: where they come from, for errors.
        name: of the log.
        outcomes: see `read_gym_log`.
    """
    observations, actions = _one_of(arrays, OBSERVATIONS, source), _one_of(arrays, ACTIONS, source)
    if len(observations) != len(actions):
        extra = " The last observation has no action: drop it." if len(observations) == len(actions) + 1 else ""
        raise DataError(f"{source} has {len(observations)} observations but {len(actions)} actions.{extra}")
    if len(actions) < 2:
        raise DataError(f"{source} holds {len(actions)} steps: at least two are needed.")
    observations = as_observations(observations)
    following = next((arrays[key] for key in FOLLOWING if key in arrays), None)
    if following is not None:
        following = as_observations(following)
        if following.shape != observations.shape:
            raise DataError(
                f"{source}: next observations have the shape {following.shape}, observations {observations.shape}."
            )
    shares, low, high = _shares(actions, arrays, source)
    last, notes = _last(arrays, len(actions), source), []
    good = _finite(observations) & _finite(shares)
    if following is not None:
        good &= _finite(following)
    kept: dict[str, np.ndarray] = {}
    if outcomes:
        ended, said = _ended(arrays, last, source)
        notes += said
        rewards = _one_of(
            arrays, REWARDS, source, "save the reward of each step, or learn the model alone with `lowland run world`"
        )
        rewards = rewards.reshape(-1).astype(np.float32)
        if len(rewards) != len(actions):
            raise DataError(f"{source} has {len(rewards)} rewards, but {len(actions)} actions.")
        good &= np.isfinite(rewards)
        kept = {"reward": rewards, "alive": (~ended).astype(np.float32)}
    if not good.all():
        notes.append(f"{int((~good).sum())} of {len(good)} steps have NaN or infinity and were left out.")
    paths, short = _cut(observations, shares, following, kept, good, last)
    if not paths:
        raise DataError(
            f"{source} has no two finite steps in a row: nothing can be learned from it. {' '.join(notes)}".strip()
        )
    if short:
        notes.append(f"{short} of {short + len(paths)} episodes have a single step, with nothing after it: left out.")
    return GymLog(paths, low, high, name, tuple(notes))


def _open(path: Path) -> dict[str, np.ndarray]:
    with regular(path).open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise DataError(f"{path} holds a single array: save observations and actions by name with np.savez.")
    arrays = read_arrays(path, str(path))
    for name in (*FOLLOWING, *BOUNDS, *ENDS, *LENGTHS, *REWARDS):
        array = arrays.get(name)
        if array is not None and (array.dtype.kind not in "fiub" or (not array.ndim and name not in BOUNDS)):
            raise DataError(f"{path}: {name} is {array.dtype} of shape {array.shape}, but numbers (N, …) are needed.")
    return arrays


def _table(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a CSV file, by the names that an .npz file has."""
    try:
        head, values = read_cells(path)
    except (ValueError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a table of numbers that can be read: {error}.") from None
    places: dict[str, dict[int, int]] = {"observations": {}, "actions": {}}
    arrays: dict[str, np.ndarray] = {}
    for place, title in enumerate(head):
        word = title.strip().lower()
        if (part := _CELL.fullmatch(word)) is not None:
            kind = "actions" if part[1].startswith("act") else "observations"
            if int(part[2]) in places[kind]:
                raise DataError(f"{path} has two columns for part {part[2]} of the {kind}: name each once.")
            places[kind][int(part[2])] = place
        elif word in ACTIONS:
            places["actions"][0] = place
        elif word in (*REWARDS, *ENDS):
            arrays[word] = values[:, place]
        elif word in ("episode", "episode_id", "episodes"):
            arrays["episode_ends"] = np.append(np.flatnonzero(np.diff(values[:, place])) + 1, len(values))
    for kind, columns in places.items():
        if not columns:
            raise DataError(
                f"{path} has no column for the {kind}: name them {kind[:-1]}_0, {kind[:-1]}_1, … in the first row, "
                f"which has {', '.join(head)[:200]}."
            )
        arrays[kind] = values[:, [columns[number] for number in sorted(columns)]]
    # A table does not tell 1 from 1.0: what may be the number of a choice is one.
    if (taken := arrays["actions"]).shape[1] == 1 and np.isin(taken, np.arange(_CHOICES)).all():
        arrays["actions"] = taken.astype(np.int64)
    return arrays


def _finite(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(values).reshape(len(values), -1).all(axis=1))


def _one_of(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], source: str, remedy: str = "") -> np.ndarray:
    for name in names:
        if name in arrays:
            array = arrays[name]
            if array.dtype.kind not in "fiub" or not array.ndim:
                raise DataError(
                    f"{source}: {name} is {array.dtype} of shape {array.shape}, but numbers (N, …) are needed."
                )
            return array
    found = ", ".join(arrays) or "nothing"
    raise DataError(
        f"{source} has no array called {names[0]} (or {', '.join(names[1:])}), only {found}{remedy and ': ' + remedy}."
    )


def _shares(
    actions: np.ndarray, arrays: Mapping[str, np.ndarray], source: str
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Actions (N, A) as fractions of their bounds, and the bounds."""
    if actions.dtype.kind in "iu" and (actions.ndim == 1 or actions.shape[1:] == (1,)) and BOUNDS[0] not in arrays:
        numbers = actions.reshape(-1)
        if numbers.min() < 0 or numbers.max() > 1000:
            raise DataError(
                f"{source}: actions are whole numbers from {numbers.min()} to {numbers.max()}, but choices are counted "
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
            raise DataError(f"{source}: {name} must have {size} numbers, one for each part of an action.")
        bounds.append(np.broadcast_to(known.ravel(), (size,)).astype(np.float32))
    low, high = bounds
    if not (high >= low).all():
        raise DataError(
            f"{source}: {BOUNDS[0]} is above {BOUNDS[1]} in part {int((high < low).argmax())} of the actions."
        )
    # A constant component gets bounds around its value.
    low, high = np.where(high > low, low, low - 1), np.where(high > low, high, high + 1)
    shares = to_shares(actions, low, high)
    away = (np.abs(np.nan_to_num(shares)) > 1 + _SLACK).any(axis=1)
    if away.any():
        raise DataError(
            f"{source}: {int(away.sum())} of {len(actions)} actions are outside {BOUNDS[0]} and {BOUNDS[1]}, the first "
            f"at step {int(away.argmax())}: save the actions that the plant received, or its true bounds."
        )
    return shares, low, high


def _last(arrays: Mapping[str, np.ndarray], count: int, source: str) -> np.ndarray:
    """(N,) of booleans: whether an episode ends with that step."""
    last = np.zeros(count, dtype=bool)
    for name in ENDS:
        if name in arrays:
            flags = arrays[name].reshape(-1)
            if len(flags) != count:
                raise DataError(f"{source}: {name} has {len(flags)} entries, but there are {count} steps.")
            last |= flags.astype(bool)
    for name in LENGTHS:
        if name in arrays:
            ends = arrays[name].reshape(-1)
            if not ((ends >= 1) & (ends <= count)).all():
                raise DataError(
                    f"{source}: {name} must count from 1 to {count}, but goes from {ends.min()} to {ends.max()}."
                )
            last[ends.astype(np.int64) - 1] = True
    last[-1] = True
    return last


def _ended(arrays: Mapping[str, np.ndarray], last: np.ndarray, source: str) -> tuple[np.ndarray, list[str]]:
    """(N,) of booleans: whether the plant ended with that step, where its recording was not only cut; and notes."""

    def flagged(names: tuple[str, ...]) -> np.ndarray:
        found = np.zeros(len(last), dtype=bool)
        for name in names:
            found |= arrays[name].reshape(-1).astype(bool) if name in arrays else False
        return found

    ended, cut, done = flagged(TERMINATED), flagged(CUT), flagged(DONE)
    if (both := ended & cut).any() and bool((both == (ended | cut)).all()):
        raise DataError(
            f"{source}: every end is marked both as terminated and as truncated: mark it as terminated where the plant "
            "itself ended, and as truncated where the recording was cut."
        )
    lengths = np.diff(np.flatnonzero(last), prepend=-1)
    alike = len(lengths) > 2 and bool((lengths[:-1] == lengths[0]).all()) and lengths[-1] <= lengths[0]
    only_done = bool((done & ~ended & ~cut).any())
    if only_done and not alike:
        raise DataError(
            f"{source}: {'dones' if 'dones' in arrays else 'done'} does not say whether the plant ended or its "
            "recording was cut: save terminations and truncations."
        )
    if alike and lengths[0] > 1 and (only_done or (ended.any() and not cut.any() and ended[np.flatnonzero(last)[0]])):
        word = "done" if only_done else "terminated"
        return np.zeros_like(last), [
            f"All episodes are marked as {word} after {lengths[0]} steps: that was taken as a limit of time, after "
            "which the plant would go on."
        ]
    return ended, []


def _cut(
    observations: np.ndarray,
    shares: np.ndarray,
    following: np.ndarray | None,
    outcomes: Mapping[str, np.ndarray],
    good: np.ndarray,
    last: np.ndarray,
) -> tuple[tuple[Mapping[str, Tensor], ...], int]:
    """The finite segments of the episodes, at least one transition each, and how many whole episodes had none."""
    paths, short = [], 0
    edges = np.flatnonzero(last | ~good) + 1
    for first, end in zip(np.concatenate([[0], edges[:-1]]), edges, strict=True):
        stop = end if good[end - 1] else end - 1
        seen, taken = observations[first:stop], shares[first:stop]
        if following is not None and stop > first:
            seen = np.concatenate([seen, following[stop - 1 : stop]])
        else:
            taken = taken[:-1]
        if len(taken):
            path = {"observation": as_tensor(seen), "actions": as_tensor(taken)}
            for name, values in outcomes.items():
                start = np.ones(1) if name == "alive" else np.zeros(1)
                path[name] = as_tensor(np.concatenate([start, values[first : first + len(taken)]]))
            paths.append(path)
        else:
            short += int(stop > first and end < len(last))
    return tuple(paths), short
