"""Logs split into training, validation and test parts, and the episodes to drive in them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowland.data.cleaning import Fault
from lowland.data.logs import Reading
from lowland.data.tracks import Tracks
from lowland.data.traffic import traffic
from lowland.data.us101 import us101
from lowland.envs.own_log import own_log
from lowland.envs.replay import Policy, Replay
from lowland.envs.scene import Scene
from lowland.errors import DataError

_log = logging.getLogger(__name__)
_SHARES = (0.8, 0.1, 0.1)
_HELD = 1000
_LEAST = 40


class Episodes(NamedTuple):
    """The replay of a recording, and the indices of the episodes to drive in it."""

    replay: Replay
    numbers: Tensor


@dataclass(frozen=True)
class Logs:
    """Recordings for training, validation and test, with the vehicles that each part may use (None: all).

    Simulated traffic is split by simulation, a user's log by vehicle.

    Attributes:
        train, held, test: recordings of each part.
        vehicles: of each part.
        faults: problems found in the user's log.
        cars: neighbours in a state.
        device: device of the states.
        observation: options of a `Replay`, such as `every` and `image`.
    """

    train: list[Tracks]
    held: list[Tracks]
    test: list[Tracks]
    vehicles: list[np.ndarray | None]
    faults: list[Fault]
    cars: int
    device: str
    observation: Mapping[str, Any]

    @property
    def reading(self) -> str:
        """How columns and units of the user's log were interpreted; empty for simulated traffic."""
        return self.train[0].reading

    def starts(
        self,
        count: int,
        steps: int,
        generator: torch.Generator,
        part: str = "train",
        before: int = 0,
        device: str | None = None,
    ) -> list[tuple[Scene, Tensor]]:
        """Scenes of all recordings, and the start rows of up to `count` segments, each with `before` rows before it."""
        recordings, vehicles = (self.train, self.vehicles[0]) if part == "train" else (self.held, self.vehicles[1])
        found = []
        for tracks in recordings:
            scene = Scene(tracks, self.observation.get("every", 2), device or self.device)
            rows = scene.starts(steps, before, vehicles)
            few = torch.randperm(len(rows), generator=generator)[: -(-count // len(recordings))]
            found.append((scene, rows[few.to(rows.device)]))
        return found

    def segments(self, count: int, steps: int, generator: torch.Generator, part: str = "train") -> dict[str, Any]:
        """`states` (N, T + 1, …) and `actions` (N, T, 2) of up to `count` segments, spread over the recordings."""
        starts = self.starts(count, steps, generator, part)
        found = [scene.logged(rows, steps, self.cars) for scene, rows in starts]
        states = {name: torch.cat([part[0][name] for part in found]) for name in found[0][0]}
        return {"states": states, "actions": torch.cat([part[1] for part in found])}

    def unseen(self, steps: int) -> dict[str, Any]:
        """Validation segments for a forward model."""
        return self.segments(_HELD, steps, torch.Generator().manual_seed(0), "held")

    def episodes(self, count: int, part: Literal["train", "held", "test"] = "test") -> list[Episodes]:
        """Up to `count` episodes, spread evenly over the recordings of a part.

        Raises:
            DataError: if no car is tracked for long enough.
        """
        number = ("train", "held", "test").index(part)
        recordings, vehicles = (self.train, self.held, self.test)[number], self.vehicles[number]
        found = []
        for tracks in recordings:
            replay = replay_of(tracks, vehicles, _LEAST, cars=self.cars, device=self.device, **self.observation)
            wanted = min(len(replay), -(-count // len(recordings)))
            found.append(Episodes(replay, torch.linspace(0, len(replay) - 1, wanted).round().long()))
        return found


def read_logs(
    path: str,
    cars: int,
    device: str,
    count: int = 0,
    observation: Mapping[str, Any] = MappingProxyType({}),
    reading: Reading | None = None,
) -> Logs:
    """The shipped traffic, or the cleaned log at a path; `observation` as in `Logs`.

    Raises:
        DataError: for a file that cannot be read, or too few cars.
    """
    if not path:
        train, held, test = traffic("train", count), traffic("validation"), traffic("test", count)
        return Logs(train, held, test, [None, None, None], [], cars, device, observation)
    tracks, faults = own_log(path, reading)
    parts = tracks.split(_SHARES, torch.Generator().manual_seed(0))
    if min(len(part) for part in parts) < 1:
        raise DataError(
            f"{tracks.label} has {len(tracks.vehicles)} vehicles, but at least 10 are needed: 80 % for training, 10 % "
            "for validation and 10 % for the test."
        )
    return Logs([tracks], [tracks], [tracks], list(parts), faults, cars, device, observation)


def replay_of(tracks: Tracks, vehicles: np.ndarray | None = None, frames: int | None = None, **options: Any) -> Replay:
    """Episodes along the whole section or, where no car was logged along all of it, until the recording of each ends.

    Args:
        tracks, vehicles, options: see `Replay`.
        frames: minimal length of a recording.

    Raises:
        DataError: if no car is seen for long enough.

    >>> from lowland.data.traffic import traffic
    >>> log = traffic("validation")[0]
    >>> replay_of(log).until, replay_of(log.select(log.x < 200)).until
    ('section', 'recording')
    """
    try:
        return Replay(tracks, vehicles, **options)
    except DataError:
        return Replay(tracks, vehicles, until="recording", frames=frames, **options)


def recordings(
    wanted: bool, cars: int, device: str, observation: Mapping[str, Any] = MappingProxyType({})
) -> list[Episodes]:
    """Every car of US-101 that was tracked for at least 40 frames; none if the recordings cannot be downloaded."""
    if not wanted:
        return []
    try:
        found = us101()
    except DataError as error:
        _log.warning("Without the real recordings of US-101: %s", error)
        return []
    episodes = []
    for tracks in found:
        try:
            replay = Replay(tracks, until="recording", frames=_LEAST, cars=cars, device=device, **observation)
        except DataError:
            continue  # a recording in which no car is tracked for 40 frames
        episodes.append(Episodes(replay, torch.arange(len(replay))))
    return episodes


def drive(episodes: Sequence[Episodes], driver: Policy) -> list[dict[str, Any]]:
    """Drive all episodes: one row per episode as in `Replay.run`, plus the index of its `recording`.

    >>> from lowland.data.traffic import traffic
    >>> from lowland.envs.drivers import human
    >>> replay = Replay(traffic("validation")[0])
    >>> [row["reason"] for row in drive([Episodes(replay, torch.arange(2))], human)]
    ['reached', 'reached']
    """
    return [
        {**row, "recording": number}
        for number, (replay, numbers) in enumerate(episodes)
        for row in replay.run(driver, numbers)
    ]
