"""Physical plausibility checks of a log: sizes, speeds and positions, lane numbers and y, directions.

Most tables do not state units and directions. They are checked against the rest of the table; if they contradict it,
the log is refused with the option that would resolve it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lowland.data.tracks import Floats, Integers
from lowland.errors import DataError

Columns: TypeAlias = dict[str, npt.NDArray[Any]]

FASTEST = 70.0
"""In m/s; faster than any vehicle in traffic (250 km/h)."""
WIDEST, NARROWEST = 3.5, 1.0
"""In metres; trucks are long, but no wider than a lane, and most vehicles in a log are not bicycles."""
LANE_WIDTHS = (2.2, 6.0)
"""In metres, between lane centres; centres closer than half a metre are one lane."""

_TOLERANCE = 0.1
"""Relative difference allowed between speeds and positions, by the median: both may have been smoothed."""
_WRONG, _FAR = 0.2, 0.35
"""Fraction of all rows that may differ by more than `_FAR`."""
_SLOW = 2.0
"""In m/s; slower vehicles say nothing about units."""
_STRAIGHT = 0.35
"""Largest deviation from the mean direction of travel, in radians (20°)."""


def inner(label: str) -> str:
    """The label of a log within a sentence."""
    return label[0].lower() + label[1:]


def check_units(rows: Columns, dt: float, label: str) -> None:
    """Raise if the typical vehicle is implausible in metres and seconds; rows are sorted."""
    length, width = (_median(rows[name], usual) for name, usual in (("length", 4.5), ("width", 1.8)))
    same = np.diff(rows["vehicle"]) == 0
    distance = np.hypot(np.diff(rows["x"]), np.diff(rows["y"]))[same]
    speeds = distance / (np.diff(rows["frame"])[same] * dt)
    speed = float(np.median(speeds)) if len(speeds) else 0.0
    if width > length:
        raise DataError(
            f"{label} has vehicles {length:.3g} m long and {width:.3g} m wide, by the median: length and width are "
            "exchanged. Name them, --columns length=NAME,width=NAME."
        )
    known = rows["width"][rows["width"] > 0]
    mixed = len(known) and (known > WIDEST).mean() > 0.1
    if length > 30 or length < 1 or width > WIDEST or width < NARROWEST or mixed or speed > FASTEST:
        what = f"its vehicles are {length:.3g} long, {width:.3g} wide and drive at {speed:.3g} a second, by the median"
        guess = "feet" if 10 < length < 30 and width > WIDEST else "another unit"
        raise DataError(
            f"{label} does not seem to be in metres and seconds, but in {guess}: {what}. Say --units ft or m, convert "
            f"it, or correct the time between frames, which is taken as {dt:g} s."
        )


def _median(values: Floats, usual: float) -> float:
    """Median of the positive finite values; the usual value if there are none."""
    known = values[np.isfinite(values) & (values > 0)]
    return float(np.median(known)) if len(known) else usual


def check_lane_width(rows: Columns, middles: list[float], label: str) -> None:
    """Raise if lane centres are not a lane width apart; lanes with few rows are not checked."""
    _, count = np.unique(rows["lane"][rows["lane"] >= 0], return_counts=True)
    apart = np.diff(np.sort(np.array(middles)[count > 0.01 * count.sum()]))
    apart = apart[apart > 0.5]
    if len(apart) and not LANE_WIDTHS[0] <= np.median(apart) <= LANE_WIDTHS[1]:
        raise DataError(
            f"{label} has lanes {np.median(apart):.3g} m wide, by the positions of their vehicles, which are of other "
            "units than their sizes, or not across the road. Say which, as in --columns y=NAME:ft."
        )


def crossing(rows: Columns, label: str) -> npt.NDArray[np.bool_]:
    """Rows of vehicles that drive across the road; rows are sorted.

    Raises:
        DataError: if many do.
    """
    starts = np.flatnonzero(np.diff(rows["vehicle"], prepend=rows["vehicle"][:1] - 1))
    ends = np.concatenate([starts[1:], [len(rows["x"])]]) - 1
    along, across = (np.abs(rows[key][ends] - rows[key][starts]) for key in ("x", "y"))
    found = (across > along) & (across > 5)
    share = found.sum() / max(1, (np.maximum(along, across) > 5).sum())
    if share > 0.2:
        raise DataError(
            f"{label} has {100 * share:.0f} % of its moving vehicles drive across the road: x must run along one "
            "straight section. If x and y are exchanged, say --columns x=NAME,y=NAME; at a crossing, cut out one road."
        )
    return np.repeat(found, ends - starts + 1)


def check_overlaps(columns: Columns, label: str) -> None:
    """Raise if vehicles overlap: positions and sizes have different units, or there are several recordings."""
    order = np.lexsort((columns["x"], columns["frame"]))
    frame, x, y, length, width = (columns[key][order] for key in ("frame", "x", "y", "length", "width"))
    inside = np.zeros(len(x), dtype=bool)
    with np.errstate(invalid="ignore"):
        # So many nearest vehicles along the road include all that are beside one.
        for step in (1, 2, 3):
            near = frame[step:] == frame[:-step]
            near &= x[step:] - x[:-step] < (length[step:] + length[:-step]) / 2
            near &= np.abs(y[step:] - y[:-step]) < (width[step:] + width[:-step]) / 2
            near &= columns["vehicle"][order][step:] != columns["vehicle"][order][:-step]
            inside[step:] |= near
    if inside.mean() > 0.1:
        raise DataError(
            f"{label} has {100 * inside.mean():.0f} % of its rows inside another vehicle: positions and sizes are of "
            "different units, or it holds several recordings. Name the units, as in --columns x=NAME:ft,y=NAME:ft."
        )


def moves(columns: Columns) -> tuple[Integers, Floats, Floats, Floats]:
    """For each step of a vehicle to its next row: that row, Δx, Δy and the number of frames between."""
    order = np.lexsort((columns["frame"], columns["vehicle"]))
    later = np.flatnonzero((np.diff(columns["vehicle"][order]) == 0) & (np.diff(columns["frame"][order]) > 0)) + 1
    first, second = order[later - 1], order[later]
    dx, dy, frames = (columns[key][second] - columns[key][first] for key in ("x", "y", "frame"))
    return second, dx, dy, frames.astype(np.float64)


def check_speeds(columns: Columns, dt: float, doubt: bool, label: str) -> None:
    """Raise if vehicles move faster or slower than the table says, or in another direction.

    Args:
        columns: with `speed`, or `vx` and `vy`, in m/s. Without them only frames longer than half a second are
            questioned, if no vehicle moves in them.
        dt: seconds between frames.
        doubt: whether only the table states it.
        label: the log's name, for errors.
    """
    stated = columns.get("speed")
    if stated is None and "vx" in columns and "vy" in columns:
        stated = np.hypot(columns["vx"], columns["vy"])
    if stated is None or not (np.abs(stated) > 0).any():
        if doubt:
            _check_pace(columns, dt, label)
        return
    row, dx, dy, frames = moves(columns)
    with np.errstate(invalid="ignore", over="ignore"):
        moved, said = np.hypot(dx, dy) / (frames * dt), np.abs(stated[row])
        told = (np.maximum(said, moved) > _SLOW) & np.isfinite(moved) & np.isfinite(said)
    if told.sum() < 10:
        return
    ratio = moved[told] / np.maximum(said[told], 1e-9)
    middle = float(np.median(ratio))
    wrong = float((np.abs(ratio - 1) > _FAR).mean())
    if abs(middle - 1) > _TOLERANCE or wrong > _WRONG:
        raise DataError(
            f"The positions of {inner(label)} move {middle:.3g} times as fast as its column of speeds "
            f"says, and {100 * wrong:.0f} % of its steps are far off: units, frame rate or vehicle numbers are not "
            "as assumed. Say --units m or ft, --fps N, --columns speed=NAME:km/h, or speed= (vx=,vy=) to leave it out."
        )
    if "speed" in columns or "vx" not in columns:
        return
    vx, vy = columns["vx"][row][told], columns["vy"][row][told]
    away = np.abs(np.arctan2(vx * dy[told] - vy * dx[told], vx * dx[told] + vy * dy[told]))
    if np.median(away) > _TOLERANCE:
        raise DataError(
            f"The positions of {inner(label)} move {np.rad2deg(np.median(away)):.0f}° away from where its columns of "
            "speeds say: an axis is turned or exchanged. Say --columns x=NAME,y=-NAME, or leave them out, vx=,vy=."
        )


def _check_pace(columns: Columns, dt: float, label: str) -> None:
    _, dx, dy, frames = moves(columns)
    speeds = np.hypot(dx, dy) / (frames * dt)
    speeds = speeds[np.isfinite(speeds)]
    if dt > 0.5 and len(speeds) and np.quantile(speeds, 0.9) < _SLOW:
        raise DataError(
            f"{label} has frames {dt:g} s apart in which hardly any vehicle drives faster than {_SLOW:g} m/s: are its "
            "times frames, or of another unit? Say --columns frame=NAME,time= and --fps N, or time=NAME:s for seconds."
        )


def check_lanes(columns: Columns, rising: int, own: bool, label: str) -> None:
    """Raise if the lane numbers imply that y points to the other side.

    Args:
        columns: with `lane`.
        rising: +1 if lanes are numbered from the right, −1 from the left, 0 if unknown.
        own: whether it is a user's own table, whose vehicles may drive towards lower x.
        label: the log's name, for errors.
    """
    lane, y = columns["lane"], columns["y"]
    known = np.isfinite(lane) & (lane >= 0) & np.isfinite(y) & (np.abs(y) < 1e7)
    if not rising or not known.any() or np.ptp(lane[known]) == 0 or np.ptp(y[known]) == 0:
        return
    _, dx, _, _ = moves(columns)
    way = -1 if own and len(dx) and np.nanmedian(dx) < 0 else 1
    side = float(np.corrcoef(lane[known], way * y[known])[0, 1]) * rising
    if side < (-0.5 if own else 0.5):
        numbered = "right" if rising > 0 else "left"
        raise DataError(
            f"The lanes of {inner(label)} are numbered against its y, if they begin at the {numbered}: either "
            "y runs to the right, or they begin at the other side. Say which: --columns y=NAME if y runs to the left, "
            "y=-NAME if to the right."
        )


def turn(columns: Columns, dt: float, label: str) -> None:
    """Rotate the plane so that x is the mean direction of travel, up to its sign.

    Raises:
        DataError: if vehicles drive in several directions, as at a crossing.
    """
    _, dx, dy, frames = moves(columns)
    with np.errstate(invalid="ignore"):
        told = np.hypot(dx, dy) > _SLOW * dt * frames
    if not told.any():
        return
    heading = np.arctan2(dy[told], dx[told])
    # Doubling the angle makes both directions of a road equal.
    mean = np.angle(np.exp(2j * heading).mean()) / 2
    if np.cos(heading - mean).sum() < 0:
        mean += np.pi
    crossing = np.abs(np.sin(heading - mean)) > np.sin(_STRAIGHT)
    if crossing.mean() > 0.05:
        raise DataError(
            f"{label} is not a straight section: {100 * crossing.mean():.0f} % of its vehicles drive more than 20° "
            "away from the others. Cut out one stretch of road."
        )
    x, y = columns["x"], columns["y"]
    columns["x"], columns["y"] = np.cos(mean) * x + np.sin(mean) * y, np.cos(mean) * y - np.sin(mean) * x
