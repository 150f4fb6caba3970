"""Traffic logs: the position of every vehicle at every frame, on a straight section of road.

Metres and seconds. x runs along the road in the direction of travel, y across it, to the left; a vehicle's position is
its centre. Readers straighten logs of curved roads along the road's reference line.

Shape letters: N rows, S stretches without a gap, L lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from lowland.errors import DataError, DomainError, OptionError, ShapeError

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
WHOLE, REAL = ("vehicle", "frame", "lane"), ("x", "y", "length", "width")


@dataclass(frozen=True)
class Road:
    """A straight section with parallel lanes.

    Args:
        length_from, length_to: x in metres where the section begins and ends.
        edges: y in metres of the boundaries of lanes, from right to left; one more than there are lanes.

    Raises:
        DomainError: if a boundary is not finite, or they do not increase.

    >>> road = Road(0.0, 300.0, edges=(0.0, 3.7, 7.4))
    >>> road.centres, road.lane_width, road.lane_of(np.array([1.0, 5.0, 9.0])).tolist()
    ((1.85, 5.550000000000001), 3.7, [0, 1, -1])
    """

    length_from: float
    length_to: float
    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        places = np.array([self.length_from, self.length_to, *self.edges], dtype=float)
        rising = len(self.edges) > 1 and bool((np.diff(self.edges) > 0).all())
        if not (np.isfinite(places).all() and self.length_from < self.length_to and rising):
            raise DomainError(
                "A road needs an end after its beginning and boundaries of lanes that increase from right to left, but "
                f"it runs from {self.length_from} to {self.length_to} m with boundaries at {self.edges}."
            )

    @property
    def lanes(self) -> int:
        """L."""
        return len(self.edges) - 1

    @property
    def lane_width(self) -> float:
        """Mean width of a lane."""
        return (self.left - self.right) / self.lanes

    @property
    def centres(self) -> tuple[float, ...]:
        """The y of the middle of each lane, from right to left."""
        return tuple((a + b) / 2 for a, b in pairwise(self.edges))

    @property
    def right(self) -> float:
        """The y of the right edge of the road."""
        return self.edges[0]

    @property
    def left(self) -> float:
        """The y of the left edge of the road."""
        return self.edges[-1]

    def lane_of(self, y: Floats) -> Integers:
        """Lane numbers, with 0 the rightmost; −1 off the road."""
        lane = np.searchsorted(self.edges, y, side="right") - 1
        return np.where((lane >= 0) & (lane < self.lanes), lane, -1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Tracks:
    """Arrays of equal length, with one row per vehicle and frame, sorted by vehicle and then frame, without duplicates.

    Args:
        vehicle: vehicle number, any integer.
        frame: frame number, in steps of `dt`.
        x, y: position of the centre, in metres along the road and across it to the left.
        length, width: of the vehicle in metres.
        lane: lane number, 0 the rightmost, −1 if unknown or off the road.
        road: the section on which they drive.
        dt: seconds from one frame to the next.
        name: name of the log, for pages.
        reading: a sentence on how the file was interpreted: columns, units and clock.

    Raises:
        ShapeError: if the arrays differ in length.
        DomainError: if they are not finite or not sorted, or a vehicle has no size; `clean` repairs such logs.

    >>> one, road = np.ones(3), Road(0.0, 300.0, (0.0, 3.7))
    >>> log = Tracks(7 * one, np.arange(3), np.arange(3), 1.8 * one, 4.5 * one, 1.8 * one, 0 * one, road)
    >>> log, log.velocities()[0].tolist()
    (Tracks(name='', vehicles=1, rows=3, seconds=0.3, lanes=1), [10.0, 10.0, 10.0])
    """

    vehicle: Integers
    frame: Integers
    x: Floats
    y: Floats
    length: Floats
    width: Floats
    lane: Integers
    road: Road = field(repr=False)
    dt: float = 0.1
    name: str = ""
    reading: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for names, kind in ((WHOLE, np.int64), (REAL, np.float64)):
            for name in names:
                # The class is frozen; here lists and other number types are converted.
                object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=kind))
        shapes = {name: getattr(self, name).shape for name in (*WHOLE, *REAL)}
        if len(set(shapes.values())) != 1 or self.vehicle.ndim != 1:
            raise ShapeError(f"The columns of a log must be as long as each other, but they are {shapes}.")
        if not all(np.isfinite(getattr(self, name)).all() for name in REAL):
            raise DomainError(f"{self.label} holds numbers that are not finite. Clean it first.")
        if len(self) and min(self.length.min(), self.width.min()) <= 0:
            raise DomainError(f"{self.label} has vehicles without length or width. Clean it first.")
        same, step = np.diff(self.vehicle) == 0, np.diff(self.frame)
        if (np.diff(self.vehicle) < 0).any() or (step[same] <= 0).any():
            raise DomainError(f"{self.label} is not sorted by vehicle and frame, or has a frame twice. Clean it first.")
        if not 0 < self.dt < 10:
            raise DomainError(f"The time between frames must be between 0 and 10 s, but it is {self.dt}.")

    def __len__(self) -> int:
        return len(self.vehicle)

    def __repr__(self) -> str:
        lanes = self.road.lanes
        return (
            f"Tracks(name={self.name!r}, vehicles={len(self.vehicles)}, rows={len(self)}, "
            f"seconds={self.seconds:.6g}, lanes={lanes})"
        )

    @property
    def label(self) -> str:
        """The log's name for use in a sentence."""
        return f"The log {self.name}" if self.name else "The log"

    @property
    def vehicles(self) -> Integers:
        """All vehicles, each once."""
        return np.unique(self.vehicle)

    @property
    def seconds(self) -> float:
        """Time from the first frame to the end of the last."""
        return float(np.ptp(self.frame) + 1) * self.dt if len(self) else 0.0

    def select(self, rows: npt.NDArray[np.bool_] | Integers) -> Tracks:
        """The given rows, by a mask or by increasing indices."""
        return replace(self, **{name: getattr(self, name)[rows] for name in (*WHOLE, *REAL)})

    def of(self, vehicles: npt.ArrayLike) -> Tracks:
        """The rows of the given vehicles."""
        return self.select(np.isin(self.vehicle, vehicles))

    def segments(self) -> Integers:
        """(S, 2), first row and row after the last of each gap-free stretch of one vehicle."""
        cut = np.flatnonzero((np.diff(self.vehicle) != 0) | (np.diff(self.frame) != 1)) + 1
        ends = np.concatenate([[0], cut, [len(self)]]) if len(self) else np.zeros(1, dtype=np.int64)
        return np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)

    def windows(self, frames: int, stride: int = 1) -> Integers:
        """First rows of all gap-free windows of `frames` rows of one vehicle, `stride` rows apart.

        Raises:
            DataError: if no vehicle is tracked for that long.
        """
        if frames < 1 or stride < 1:
            raise OptionError(f"Windows need at least one frame and a stride of one, not {frames} and {stride}.")
        parts = [np.arange(start, stop - frames + 1, stride) for start, stop in self.segments()]
        starts = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        if not len(starts):
            longest = int(np.diff(self.segments()).max(initial=0))
            raise DataError(
                f"{self.label} has no vehicle with {frames} frames in a row; the longest stretch has {longest}. Give a "
                "longer log, or ask for fewer frames."
            )
        return starts.astype(np.int64)

    def velocities(self) -> tuple[Floats, Floats]:
        """(vx, vy) in m/s by central differences within each stretch, one-sided at its ends, 0 for a single row."""
        velocity = np.zeros((2, len(self)))
        for start, stop in self.segments():
            if stop - start > 1:
                part = slice(start, stop)
                velocity[:, part] = np.gradient(np.stack([self.x[part], self.y[part]]), self.dt, axis=1)
        return velocity[0], velocity[1]

    def smooth(self, window: int = 15) -> Tracks:
        """Smooth by a rolling mean over an odd number of frames (15 in Henaff, Canziani & LeCun 2019, appendix B).

        Towards the ends of a stretch the window shrinks on both sides, so uniform motion is unchanged.

        Raises:
            OptionError: if the window is even or less than 1.
        """
        if window < 1 or window % 2 == 0:
            raise OptionError(f"The window of a rolling mean must be an odd number of frames, but it is {window}.")
        places = np.stack([self.x, self.y])
        for start, stop in self.segments():
            total = np.cumsum(np.pad(places[:, start:stop], ((0, 0), (1, 0))), axis=1)
            here = np.arange(stop - start)
            half = np.minimum(window // 2, np.minimum(here, here[::-1]))
            places[:, start:stop] = (total[:, here + half + 1] - total[:, here - half]) / (2 * half + 1)
        return replace(self, x=places[0], y=places[1])

    def resample(self, dt: float = 0.1) -> Tracks:
        """The same motion in frames of `dt` seconds, with linearly interpolated positions.

        A new frame takes its lane from the nearest old one. A stretch too short for any new frame is dropped.

        Raises:
            OptionError: if dt is not positive.
            DataError: if no new frame falls into any stretch.

        >>> x, one = [0.0, 1.0, 2.0], [1, 1, 1]
        >>> slow = Tracks(one, [0, 1, 2], x, one, one, one, one, Road(0.0, 300.0, (0.0, 3.7)), dt=0.05).resample(0.1)
        >>> slow.frame.tolist(), slow.x.tolist(), slow.dt
        ([0, 1], [0.0, 2.0], 0.1)
        """
        if not dt > 0:
            raise OptionError(f"dt must be a positive number of seconds, but it is {dt}.")
        rows, frames, places = [], [], []
        for start, stop in self.segments():
            seconds = self.frame[start:stop] * self.dt
            new = np.arange(np.ceil(seconds[0] / dt - 1e-6), np.floor(seconds[-1] / dt + 1e-6) + 1)
            here = np.interp(new * dt, seconds, np.arange(stop - start))
            rows.append(start + np.round(here).astype(np.int64))
            frames.append(new.astype(np.int64))
            places.append([np.interp(here, np.arange(stop - start), part[start:stop]) for part in (self.x, self.y)])
        kept = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        if not len(kept):
            raise DataError(f"{self.label} has no stretch as long as {dt:g} s.")
        x, y = np.concatenate(places, axis=1)
        same = {name: getattr(self, name)[kept] for name in ("vehicle", "lane", "length", "width")}
        return replace(self, **same, frame=np.concatenate(frames), x=x, y=y, dt=dt)

    def split(self, shares: Sequence[float], generator: torch.Generator) -> list[Integers]:
        """Split the vehicles at random into parts, such as 80, 10 and 10 %.

        A part is a list of vehicles and not a log, since a car of one part still drives among all the others; `of`
        makes a log of it.

        Raises:
            OptionError: if the shares are not positive, or their sum exceeds 1.
        """
        if min(shares, default=0) <= 0 or sum(shares) > 1 + 1e-9:
            raise OptionError(f"The shares of a split must be positive and add up to at most 1, not {list(shares)}.")
        vehicles = self.vehicles
        shuffled = vehicles[torch.randperm(len(vehicles), generator=generator).numpy()]
        ends = np.round(np.cumsum(shares) * len(vehicles)).astype(np.int64)
        return [np.sort(part) for part in np.split(shuffled, ends)[: len(shares)]]
