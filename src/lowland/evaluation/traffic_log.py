"""Statistics of a traffic log: speeds, gaps, lane changes, density and flow.

Shape letters: N rows of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lowland.data.tracks import Floats, Tracks

_STANDING = 0.5
"""In m/s; below it a time headway is meaningless."""


@dataclass(frozen=True, eq=False)
class LogSummary:
    """Measures of a log, in metres and seconds.

    Args:
        speed: (N,), along the road.
        acceleration: along the road, for rows with a neighbour in time.
        gap: bumper to bumper to the car ahead in the same lane, if there is one.
        headway: gap divided by speed, for moving cars.
        lane_changes: how many.
        kilometres: driven by all vehicles together.
        density: vehicles per kilometre and lane.
        flow: vehicles per hour and lane, density times mean speed.
    """

    speed: Floats
    acceleration: Floats
    gap: Floats
    headway: Floats
    lane_changes: int
    kilometres: float
    density: float
    flow: float


def summarise(tracks: Tracks) -> LogSummary:
    """Measure a log. Lanes are those of its road; a lane change counts if both lanes are known and consecutive.

    >>> from lowland.data.tracks import Road
    >>> columns = [np.repeat([1, 2], 3), np.tile(range(3), 2), np.r_[0:3, 20:23], [1.8] * 6, [4.0] * 6, [1.8] * 6]
    >>> found = summarise(Tracks(*columns, lane=[0] * 6, road=Road(0, 23, (0.0, 3.7))))
    >>> found.gap.tolist(), found.headway.round(3).tolist(), found.lane_changes, round(found.density)
    ([16.0, 16.0, 16.0], [1.6, 1.6, 1.6], 0, 87)
    """
    speed = tracks.velocities()[0]
    joined = (np.diff(tracks.vehicle) == 0) & (np.diff(tracks.frame) == 1)
    both = joined & (tracks.lane[1:] >= 0) & (tracks.lane[:-1] >= 0)
    order = np.lexsort((tracks.x, tracks.lane, tracks.frame))
    behind, ahead = order[:-1], order[1:]
    pair = (tracks.frame[behind] == tracks.frame[ahead]) & (tracks.lane[behind] == tracks.lane[ahead])
    pair &= tracks.lane[behind] >= 0
    behind, ahead = behind[pair], ahead[pair]
    gap = tracks.x[ahead] - tracks.x[behind] - (tracks.length[ahead] + tracks.length[behind]) / 2
    moving = speed[behind] > _STANDING
    road, frames = tracks.road, max(round(tracks.seconds / tracks.dt), 1)
    inside = (tracks.lane >= 0) & (tracks.x >= road.length_from) & (tracks.x <= road.length_to)
    density = inside.sum() / frames / road.lanes / (road.length_to - road.length_from) * 1000
    return LogSummary(
        speed=speed,
        acceleration=np.diff(speed)[joined] / tracks.dt,
        gap=gap,
        headway=gap[moving] / speed[behind][moving],
        lane_changes=int((np.diff(tracks.lane)[both] != 0).sum()),
        kilometres=float(np.diff(tracks.x)[joined].sum()) / 1000,
        density=float(density),
        flow=float(density * speed.mean() * 3.6),
    )


def describe(tracks: Tracks, found: LogSummary) -> dict[str, Any]:
    """A log in single numbers, by name: its road, its vehicles, and medians and means of what `summarise` measured.

    Metres, seconds and vehicles; `rate` is in frames per second, `acceleration` the 99th percentile of its size,
    `stretch` the median time for which a vehicle is seen without interruption. A number of which there is no sample is
    None.

    >>> from lowland.data.tracks import Road
    >>> log = Tracks([1] * 3, range(3), range(3), [1.8] * 3, [4.0] * 3, [1.8] * 3, [0] * 3, Road(0, 9, (0.0, 3.7)))
    >>> found = describe(log, summarise(log))
    >>> found["vehicles"], found["speed"], found["gap"]
    (1, 10.0, None)
    """
    road, stretches = tracks.road, np.diff(tracks.segments())[:, 0] * tracks.dt
    return {
        "name": tracks.name,
        "reading": tracks.reading,
        "vehicles": len(tracks.vehicles),
        "rows": len(tracks),
        "seconds": tracks.seconds,
        "rate": 1 / tracks.dt,
        "metres": road.length_to - road.length_from,
        "lanes": road.lanes,
        "lane_width": road.lane_width,
        "speed": float(found.speed.mean()),
        "speed_sd": float(found.speed.std()),
        "density": found.density,
        "flow": found.flow,
        "gap": _quantile(found.gap, 0.5),
        "headway": _quantile(found.headway, 0.5),
        "acceleration": _quantile(np.abs(found.acceleration), 0.99),
        "changes": found.lane_changes,
        "changes_per_km": found.lane_changes / max(found.kilometres, 1e-9),
        "shortest_car": float(tracks.length.min()),
        "longest_car": float(tracks.length.max()),
        "stretch": float(np.median(stretches)),
        "longest_stretch": float(stretches.max()),
    }


def _quantile(values: Floats, share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None
