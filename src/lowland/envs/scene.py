"""A log of traffic as tables for replay: vehicles by frame, nearest neighbours, and logged states and actions.

Shape letters: B samples, K nearest cars, N largest number of vehicles in a frame, R rows of the log, T steps.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lowland.data.tracks import Tracks
from lowland.errors import DataError, OptionError
from lowland.worlds.kinematics import inverse

ABSENT = 1000.0
"""Metres behind the own car where absent cars are placed."""
USUAL = (4.5, 1.8)
"""Length and width of absent cars in metres."""
ALONG = 3.0
"""Metres along the road that count as one metre across it when choosing the nearest cars."""
_HEADING_FRAMES, _HEADING_METRES = 10, 1.0


class Scene:
    """The tables of a log, as tensors: `own` states and `action` of each row, and all vehicles ordered by frame.

    The velocity of another car is (p[t] − p[t − n]) / (n dt), with n = `every`, which uses no frame after t. Its
    heading is the direction of its displacement in the last second, or its previous heading if that is less than a
    metre. `own` states and actions come from `lowland.worlds.kinematics.inverse`; stretches are extrapolated with
    constant velocity after their last row.

    Args:
        tracks: a clean log.
        every: frames per step.
        device: device of the tables.

    Raises:
        DataError: for an empty log.
        OptionError: if `every` is less than 1.
    """

    def __init__(self, tracks: Tracks, every: int = 2, device: torch.device | str = "cpu") -> None:
        if not len(tracks):
            raise DataError(f"{tracks.label} is empty: there is nothing to replay.")
        if every < 1:
            raise OptionError(f"A step needs at least 1 frame of the log, but every is {every}.")
        self.tracks, self.every, self.device = tracks, every, torch.device(device)
        self.step_seconds = every * tracks.dt
        segments = tracks.segments()
        counts = segments[:, 1] - segments[:, 0]
        first, stop = np.repeat(segments[:, 0], counts), np.repeat(segments[:, 1], counts)
        vehicles, vehicle = np.unique(tracks.vehicle, return_inverse=True)
        self.vehicles = vehicles

        order = np.argsort(tracks.frame, kind="stable")
        self.first_frame = int(tracks.frame.min())
        frame = tracks.frame - self.first_frame
        self.frames = int(frame.max()) + 1
        count = np.bincount(frame, minlength=self.frames)
        table = np.stack([tracks.x, tracks.y, *_motion(tracks, first, stop, every), tracks.length, tracks.width], 1)
        states, actions = _expert(tracks, segments, every)

        self.most = int(count.max())
        self.count = self._kept(count)
        self.offset = self._kept(np.concatenate([[0], np.cumsum(count)[:-1]]))
        self.table = self._kept(table[order].astype(np.float32))
        """(R, 8), ordered by frame: x, y, vx, vy, heading (2), length, width."""
        self.owner = self._kept(vehicle[order])
        self.row = self._kept(order)
        self.place = torch.empty_like(self.row)
        self.place[self.row] = torch.arange(len(order), device=self.device)
        self.vehicle, self.frame = self._kept(vehicle), self._kept(frame)
        self.first, self.stop = self._kept(first), self._kept(stop)
        self.size = self._kept(np.stack([tracks.length, tracks.width], 1).astype(np.float32))
        self.own, self.action = states.to(self.device), actions.to(self.device)
        """(R, 5) and (R, 2), by rows of the log; an action at the end of a stretch is 0."""
        road = tracks.road
        edges = [road.right, road.left, road.lane_width, road.centres[0]]
        self.road = torch.tensor(edges, dtype=torch.float32, device=self.device)

    def _kept(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def nearest(self, own: Tensor, frame: Tensor, vehicle: Tensor, cars: int) -> tuple[Tensor, Tensor]:
        """Indices (B, K) into `table` of the nearest other cars, nearest first, and which of them exist.

        A metre across the road counts as three along it, so that dense traffic in other lanes does not crowd out the
        car ahead.
        """
        slots = torch.arange(self.most, device=self.device)
        place = (self.offset[frame][:, None] + slots).clamp_max(len(self.table) - 1)
        there = (slots < self.count[frame][:, None]) & (self.owner[place] != vehicle[:, None])
        gap = (self.table[place, :2] - own[:, None, :2]) / self.table.new_tensor([ALONG, 1.0])
        gap = gap.square().sum(-1).masked_fill(~there, torch.inf)
        kept = min(cars, self.most)
        distance, slot = gap.topk(kept, dim=1, largest=False)
        place, there = place.gather(1, slot), torch.isfinite(distance)
        if kept < cars:
            missing = cars - kept
            place = torch.nn.functional.pad(place, (0, missing))
            there = torch.nn.functional.pad(there, (0, missing))
        return place, there

    def state(self, own: Tensor, size: Tensor, place: Tensor, there: Tensor) -> dict[str, Tensor]:
        """The vector observation, with the cars at indices `place` of `table`."""
        cars = self.table[place]
        away = torch.stack([own[:, 0] - ABSENT, own[:, 1], own[:, 0] * 0, own[:, 0] * 0], dim=1)
        default = self.table.new_tensor(USUAL)
        return {
            "own": own,
            "size": size,
            "cars": torch.where(there[..., None], cars[..., :4], away[:, None]),
            "car_size": torch.where(there[..., None], cars[..., 6:], default),
            "present": there.to(own.dtype),
            "road": self.road.expand(len(own), 4),
        }

    def logged(self, rows: Tensor, steps: int, cars: int = 10) -> tuple[dict[str, Tensor], Tensor]:
        """Segments of the log from the given rows: states (B, T + 1, …) and actions (B, T, 2) in [−1, 1], for training.

        All states have the K cars that are nearest in the first one; a car that leaves the log is absent from then on.
        Actions beyond their bounds are clipped, so they then do not lead exactly to the next state.

        Args:
            rows: (B,) rows of the log, each followed by at least (T + 2) · every rows in its stretch: see `starts`.
            steps: T.
            cars: K.
        """
        rows = rows.to(self.device)
        place, there = self.nearest(self.own[rows], self.frame[rows], self.vehicle[rows], cars)
        other = self.row[place]
        states: list[dict[str, Tensor]] = []
        for t in range(steps + 1):
            own_row, row = rows + t * self.every, other + t * self.every
            alive = there & (row < self.stop[other])
            now = self.place[torch.where(alive, row, other)]
            states.append(self.state(self.own[own_row], self.size[own_row], now, alive))
        actions = torch.stack([self.action[rows + t * self.every] for t in range(steps)], dim=1)
        return {name: torch.stack([s[name] for s in states], dim=1) for name in states[0]}, actions.clamp(-1, 1)

    def starts(self, steps: int, before: int = 0, vehicles: np.ndarray | None = None) -> Tensor:
        """Rows preceded by `before` frames and followed by states and actions for `steps` steps.

        Raises:
            DataError: if there are none.
        """
        rows = torch.arange(len(self.tracks), device=self.device)
        good = (rows - self.first >= before) & (rows + (steps + 2) * self.every < self.stop)
        if vehicles is not None:
            good &= self._kept(np.isin(self.tracks.vehicle, vehicles))
        if not bool(good.any()):
            raise DataError(
                f"{self.tracks.label} has no vehicle that is seen for {before + (steps + 2) * self.every + 1} frames "
                "in a row, which the context and the steps need. Give a longer log, or ask for fewer steps."
            )
        return rows[good]


def _motion(tracks: Tracks, first: np.ndarray, stop: np.ndarray, every: int) -> tuple[np.ndarray, ...]:
    """The velocity vx, vy and the heading (2) of each row."""
    rows, place = np.arange(len(tracks)), np.stack([tracks.x, tracks.y])

    def moved(frames: int) -> tuple[np.ndarray, np.ndarray]:
        start = np.maximum(rows - frames, first)
        # The first row of a stretch has no past and takes its velocity from the next rows.
        end = np.where(start == rows, np.minimum(rows + frames, stop - 1), rows)
        return place[:, end] - place[:, start], end - start

    way, frames = moved(every)
    velocity = way / np.maximum(frames, 1) / tracks.dt
    way, _ = moved(_HEADING_FRAMES)
    far = np.hypot(*way)
    # A slow car keeps its last heading; before it has one, it heads along the road.
    source = np.maximum.accumulate(np.where(far >= _HEADING_METRES, rows, np.where(rows == first, rows, -1)))
    heading = np.where(
        far[source] >= _HEADING_METRES, way[:, source] / far[source].clip(_HEADING_METRES), [[1.0], [0.0]]
    )
    return *velocity, *heading


def _expert(tracks: Tracks, segments: np.ndarray, every: int) -> tuple[Tensor, Tensor]:
    """States and actions of all rows; stretches are first extrapolated, so that their last rows have a state."""
    own, action = (torch.zeros(len(tracks), size, dtype=torch.float32) for size in (5, 2))
    path = torch.from_numpy(np.stack([tracks.x, tracks.y], axis=1))
    length = torch.from_numpy(tracks.length)
    more = torch.arange(1, every + 1)[:, None]
    for start, stop in segments.tolist():
        stretch = path[start:stop]
        pace = stretch[-1] - stretch[-2] if len(stretch) > 1 else torch.zeros(2, dtype=path.dtype)
        longer = torch.cat([stretch, stretch[-1] + more * pace])
        if len(longer) < 2 * every + 1:
            longer = torch.cat([longer, longer[-1] + more * pace])
        states, actions = inverse(longer[None], length[start : start + 1], tracks.dt, every)
        own[start:stop] = states[0, : stop - start].float()
        known = min(actions.shape[1], stop - start)
        action[start : start + known] = actions[0, :known].float()
    return own, action
