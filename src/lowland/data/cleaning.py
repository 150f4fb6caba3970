"""Finds faults in a traffic log and keeps the part that can still be used.

A log may have gaps, duplicate frames, vehicles that jump or have no size, or other units. What is safe is kept, and
each fault says in one sentence what was found and what was done. If nothing is safe, an error is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lowland.data.sense import FASTEST, Columns, check_lane_width, check_units, crossing, inner
from lowland.data.tracks import REAL, WHOLE, Integers, Road, Tracks
from lowland.errors import DataError

FARTHEST = 1e7
"""In metres; larger coordinates count as missing, like NaN."""
GAP = 0.5
"""In seconds; gaps up to this length are filled by linear interpolation."""
AWAY, BACK = 60.0, 10.0
"""Seconds out of sight, or metres moved back meanwhile, after which a vehicle number counts as reused."""
SAME = 0.5
"""In metres; by how much two rows of a vehicle in one frame may differ."""
LANE_WIDTH = 3.7
"""In metres; the width of a lane if the log does not say (12 feet, as on US-101 and I-80)."""


@dataclass(frozen=True)
class Fault:
    """A fault found in a log.

    Args:
        kind: in one or two words, the same for all logs.
        count: number of rows or vehicles, as the sentence says.
        sentence: what was found, and what was done about it.
    """

    kind: str
    count: int
    sentence: str


def clean(
    columns: Mapping[str, npt.ArrayLike], road: Road | None = None, dt: float = 0.1, name: str = ""
) -> tuple[Tracks, list[Fault]]:
    """A clean log from raw columns, with rows in any order, and the faults found.

    Args:
        columns: `vehicle`, `frame`, `x`, `y`, `length`, `width` and, if known, `lane`, as in `Tracks`; lanes may have
            any numbers. `frame` counts steps of `dt`.
        road: the road; by default found from the lanes, or from the lateral positions.
        dt: seconds from one frame to the next.
        name: of the log.

    Raises:
        DataError: if nothing can be used: no rows, units other than metres and seconds, a vehicle at two places at
            once.

    >>> rows = {"vehicle": [1] * 4, "frame": [0, 1, 1, 3], "x": [0, 1, 1, 3], "y": [0] * 4}
    >>> log, faults = clean({**rows, "length": [4.5] * 4, "width": [1.8] * 4})
    >>> len(log), [fault.kind for fault in faults]
    (4, ['duplicate frames', 'gaps', 'no lanes', 'one lane'])
    """
    label = f"The log {name}" if name else "The log"
    if not 0 < dt < 10:
        raise DataError(f"{label} has frames {dt:g} s apart: its times are not in seconds.")
    rows = _columns(columns, label)
    faults: list[Fault] = []

    def keep(chosen: npt.NDArray[np.bool_], kind: str, sentence: Callable[[int], str], by: str | None = None) -> None:
        """Drop all other rows and record the fault; the count is of rows, or of vehicles."""
        nonlocal rows
        if not chosen.all():
            count = len(np.unique(rows[by][~chosen])) if by else int((~chosen).sum())
            faults.append(Fault(kind, count, sentence(count)))
            rows = {key: values[chosen] for key, values in rows.items()}
        if not chosen.any():
            raise DataError(f"{label} has no rows that can be used. {' '.join(fault.sentence for fault in faults)}")

    finite = (np.abs(rows["x"]) < FARTHEST) & (np.abs(rows["y"]) < FARTHEST)
    keep(finite, "no numbers", lambda n: f"{many(n, 'row')} without a finite position left out.")
    order = np.lexsort((rows["frame"], rows["vehicle"]))
    rows = {key: values[order] for key, values in rows.items()}
    again = (np.diff(rows["vehicle"], prepend=-1) == 0) & (np.diff(rows["frame"], prepend=-1) == 0)
    again[:1] = False
    _check_identity(rows, again, label)
    keep(~again, "duplicate frames", lambda n: f"{many(n, 'row')} of a frame that the vehicle already had left out.")
    check_units(rows, dt, label)
    if renamed := _rename(rows, dt):
        sentence = f"{many(renamed, 'vehicle')} whose number had been another's given one of their own."
        faults.append(Fault("numbers used again", renamed, sentence))
    _fill_sizes(rows)
    sized = (rows["length"] > 0) & (rows["width"] > 0)
    keep(sized, "no size", lambda n: f"{many(n, 'vehicle')} without a length or width left out.", by="vehicle")
    keep(
        _steady(rows, dt),
        "teleports",
        lambda n: f"{many(n, 'row')} beyond a jump faster than {FASTEST:.0f} m/s left out; the longest part is kept.",
    )
    keep(
        _forward(rows),
        "against traffic",
        lambda n: f"{many(n, 'vehicle')} driving against the others left out: a road has one direction.",
        by="vehicle",
    )
    keep(
        ~crossing(rows, label),
        "across the road",
        lambda n: f"{many(n, 'vehicle')} driving across the road left out.",
        by="vehicle",
    )
    rows, filled, left = _bridge(rows, dt, label)
    if filled or left:
        sentence = f"{many(filled, 'gap')} of up to {GAP:g} s bridged by a straight line; {left} longer left open."
        faults.append(Fault("gaps", filled + left, sentence))
    road = _lanes(rows, road, faults, label)
    if road.lanes == 1:
        faults.append(Fault("one lane", 1, "There is only one lane, so nothing can be learned about lane changes."))
    return Tracks(**{key: rows[key] for key in (*WHOLE, *REAL)}, road=road, dt=dt, name=name, reading=""), faults


def _columns(columns: Mapping[str, npt.ArrayLike], label: str) -> Columns:
    """Arrays of the right types and equal length; a missing lane becomes −1."""
    wanted = [key for key in (*WHOLE, *REAL) if key != "lane"]
    if missing := [key for key in wanted if key not in columns]:
        raise DataError(f"{label} has no column {missing[0]}; it needs {', '.join(wanted)}.")
    try:
        rows: Columns = {key: np.asarray(columns[key], dtype=np.float64) for key in wanted}
        rows["lane"] = np.asarray(columns.get("lane", np.full(len(rows["vehicle"]), np.nan)), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{label} has a column that does not hold numbers ({error}).") from None
    rows["lane"] = np.nan_to_num(rows["lane"], nan=-1)
    for key in WHOLE:
        # The comparison is false for NaN; beyond 2⁵³ vehicle numbers would coincide.
        if not (np.abs(rows[key]) < 2**53).all():
            raise DataError(f"{label} has a {key} that is not a whole number.")
        rows[key] = np.round(rows[key]).astype(np.int64)
    if len({values.shape for values in rows.values()}) != 1 or rows["vehicle"].ndim != 1:
        raise DataError(f"The columns of {inner(label)} differ in length.")
    if not len(rows["vehicle"]):
        raise DataError(f"{label} has no rows.")
    return rows


def _check_identity(rows: Columns, again: npt.NDArray[np.bool_], label: str) -> None:
    """Raise if a vehicle is at two places in one frame."""
    second = np.flatnonzero(again)
    apart = np.hypot(*(rows[key][second] - rows[key][second - 1] for key in ("x", "y")))
    if (apart > SAME).any():
        row = second[apart.argmax()]
        raise DataError(
            f"{label} has vehicle {rows['vehicle'][row]} at places {apart.max():.3g} m apart in frame "
            f"{rows['frame'][row]}, and {many(int((apart > SAME).sum()), 'such row')}: its numbers are "
            "those of several vehicles, recordings or places. Write each recording to a file of its own."
        )


def _rename(rows: Columns, dt: float) -> int:
    """Give vehicles with a reused number a new number; returns how many there are."""
    same = np.diff(rows["vehicle"]) == 0
    gap, moved = np.diff(rows["frame"]) * dt, np.diff(rows["x"])
    way = -1 if len(moved[same]) and np.median(moved[same]) < 0 else 1
    other = same & ((gap > AWAY) | ((gap > GAP) & (way * moved < -BACK)))
    if other.any():
        begins = np.concatenate([[False], other])
        starts = np.flatnonzero(np.concatenate([[True], ~same]) | begins)
        fresh = rows["vehicle"][starts].copy()
        added = begins[starts]
        fresh[added] = rows["vehicle"].max() + 1 + np.arange(int(added.sum()))
        vehicle = np.repeat(fresh, np.diff(np.append(starts, len(begins))))
        order = np.argsort(vehicle, kind="stable")
        rows |= {key: values[order] for key, values in (rows | {"vehicle": vehicle}).items()}
    return int(other.sum())


def _fill_sizes(rows: Columns) -> None:
    """A vehicle has one length and width: the median of its rows that have one; 0 if none has."""
    _, which = np.unique(rows["vehicle"], return_inverse=True)
    starts = np.flatnonzero(np.diff(which, prepend=-1))
    for key in ("length", "width"):
        values = np.where(np.isfinite(rows[key]) & (rows[key] > 0.3), rows[key], np.nan)
        sizes = [part[~np.isnan(part)] for part in np.split(values, starts[1:])]
        rows[key] = np.array([np.median(part) if len(part) else 0.0 for part in sizes])[which]


def _steady(rows: Columns, dt: float) -> npt.NDArray[np.bool_]:
    """Rows not cut off by jumps from the longest part of their vehicle; single stray rows are removed first."""
    x, y, frame, vehicle = (rows[key] for key in ("x", "y", "frame", "vehicle"))

    def jumps(kept: Integers) -> npt.NDArray[np.bool_]:
        distance = np.hypot(np.diff(x[kept]), np.diff(y[kept]))
        far = distance > FASTEST * dt * np.diff(frame[kept])
        return far & (np.diff(vehicle[kept]) == 0)

    kept = np.arange(len(x))
    jump = jumps(kept)
    stray = np.concatenate([[False], jump]) & np.concatenate([jump, [False]])
    # Two rows in sequence may both lie between two jumps: only the first is stray.
    stray[1:] &= ~stray[:-1]
    kept = kept[~stray]
    part = np.cumsum(np.concatenate([[True], jumps(kept) | (np.diff(vehicle[kept]) != 0)])) - 1
    size = np.bincount(part)
    chosen = np.zeros(len(x), dtype=bool)
    owner = vehicle[kept][np.flatnonzero(np.diff(part, prepend=-1))]
    best: dict[int, int] = {}
    for index, whose in enumerate(owner.tolist()):
        if whose not in best or size[index] > size[best[whose]]:
            best[whose] = index
    chosen[kept[np.isin(part, list(best.values()))]] = True
    return chosen


def _forward(rows: Columns) -> npt.NDArray[np.bool_]:
    """Rows of vehicles in the main direction of travel; if that is towards lower x, the whole log is rotated."""
    starts = np.flatnonzero(np.diff(rows["vehicle"], prepend=rows["vehicle"][:1] - 1))
    ends = np.concatenate([starts[1:], [len(rows["x"])]]) - 1
    travelled = rows["x"][ends] - rows["x"][starts]
    if (travelled < -5).sum() > (travelled > 5).sum():
        rows["x"], rows["y"], travelled = -rows["x"], -rows["y"], -travelled
    return np.repeat(travelled > -5, ends - starts + 1)


def _bridge(rows: Columns, dt: float, label: str) -> tuple[Columns, int, int]:
    """Fill short gaps with rows; also returns how many gaps were bridged and how many are longer."""
    step = np.where(np.diff(rows["vehicle"]) == 0, np.diff(rows["frame"]), 1)
    short = (step > 1) & ((step - 1) * dt <= GAP + 1e-9)
    count = np.concatenate([np.where(short, step, 1), [1]])
    if count.sum() > 2 * len(count):
        raise DataError(
            f"{label} has more frames of {dt:g} s in short gaps than it has rows: the time between its frames must be "
            "another one."
        )
    first = np.repeat(np.arange(len(count)), count)
    share = (np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)) / np.repeat(count, count)
    second = np.minimum(first + 1, len(count) - 1)
    bridged: Columns = {key: values[first] for key, values in rows.items()}
    for key in ("x", "y"):
        # Original rows keep their exact values.
        between = rows[key][first] * (1 - share) + rows[key][second] * share
        bridged[key] = np.where(share > 0, between, rows[key][first])
    bridged["frame"] = rows["frame"][first] + np.round(share * np.repeat(count, count)).astype(np.int64)
    return bridged, int(short.sum()), int((step > 1).sum() - short.sum())


def _lanes(rows: Columns, road: Road | None, faults: list[Fault], label: str) -> Road:
    """The road, with lanes renumbered accordingly."""
    known = rows["lane"][rows["lane"] >= 0]
    if road is None:
        span = (float(rows["x"].min()), float(rows["x"].max()))
        span = span if span[0] < span[1] else (span[0], span[0] + 1.0)
        if len(known):
            middles = [float(np.median(rows["y"][rows["lane"] == lane])) for lane in np.unique(known)]
            check_lane_width(rows, middles, label)
        else:
            low, high = np.quantile(rows["y"], [0.02, 0.98])
            middles = np.linspace(low, high, max(round((high - low) / LANE_WIDTH), 0) + 1).tolist()
        road = Road(*span, edges=edges_between(middles))
    if not len(known):
        sentence = f"The log names no lanes: {many(road.lanes, 'lane')} taken from the lateral positions."
        faults.append(Fault("no lanes", road.lanes, sentence))
    rows["lane"] = road.lane_of(rows["y"])
    outside = rows["lane"] < 0
    if outside.any():
        count = int(outside.sum())
        faults.append(Fault("beside the road", count, f"{many(count, 'row')} beside the road kept, without a lane."))
    return road


def edges_between(middles: list[float]) -> tuple[float, ...]:
    """Lane boundaries from the lateral positions of lane centres; nearly equal centres count as one lane.

    >>> edges_between([5.5, 2.0])
    (0.25, 3.75, 7.25)
    """
    lanes: list[float] = []
    for middle in sorted(middles):
        if not lanes or middle - lanes[-1] > LANE_WIDTH / 2:
            lanes.append(middle)
    half = LANE_WIDTH / 2 if len(lanes) == 1 else float(np.median(np.diff(lanes))) / 2
    inner = [(a + b) / 2 for a, b in pairwise(lanes)]
    return (lanes[0] - half, *inner, lanes[-1] + half)


def many(count: int, noun: str) -> str:
    """A number with its noun, in the plural if needed."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"
