"""A table of a user's own: CSV with a header, a row for each vehicle and frame; metres and seconds.

Columns by name, in any order, others ignored: `vehicle`, `frame` or `time`, `x` along the road, `y` across it to the
left, both of the centre, `length`, `width`, and `lane` where it is known.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from lowland.data.cleaning import Fault, clean
from lowland.data.tracks import Floats, Road, Tracks
from lowland.errors import DataError

NAMES = {
    "vehicle": ("vehicle", "vehicle_id", "track_id", "trackid", "id"),
    "frame": ("frame", "frame_id"),
    "time": ("time", "timestamp", "t"),
    "x": ("x",),
    "y": ("y",),
    "length": ("length",),
    "width": ("width",),
    "lane": ("lane", "lane_id", "laneid"),
}
"""The names under which a column is looked for."""
FRAME = 0.1
"""Seconds between frames where a table has no times."""


def read_table(text: str, name: str, road: Road | None = None) -> tuple[Tracks, list[Fault]]:
    r"""The vehicles of a table, separated by commas, semicolons or tabulators.

    Raises:
        DataError: for a column that is missing, or a cell that is no number.

    >>> log, faults = read_table("vehicle,time,x,y,length,width\n1,0.0,0,0,4.5,1.8\n1,0.2,2,0,4.5,1.8\n", "mine.csv")
    >>> log.dt, log.x.tolist()
    (0.2, [0.0, 2.0])
    """
    lines = text.splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    header = [word.strip().strip('"').lower() for word in lines[0].split(separator)] if lines else []
    place = {
        key: header.index(found)
        for key, names in NAMES.items()
        if (found := next((each for each in names if each in header), None)) is not None
    }
    wanted = ["vehicle", "time" if "frame" not in place else "frame", "x", "y", "length", "width"]
    if missing := [key for key in wanted if key not in place]:
        lacks = "frame nor time" if missing[0] == "time" else missing[0]
        raise DataError(
            f"{name} is no table of tracks: it has no column {lacks}. Its first line must name the columns vehicle, "
            "frame or time, x, y, length, width and, where known, lane; in metres and seconds."
        )
    cells = {key: [] for key in place}
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=separator), 1):
            if number > 1 and row:
                for key, column in place.items():
                    cells[key].append(row[column])
        names, vehicle = np.unique(cells.pop("vehicle"), return_inverse=True)
        columns: dict[str, Floats] = {key: np.array([_value(cell) for cell in cells[key]]) for key in cells}
    except (IndexError, csv.Error):
        raise DataError(f"{name} is damaged or truncated: a row has fewer cells than its first line.") from None
    except ValueError as error:
        raise DataError(f"{name} has a cell that is no number: {str(error).split(': ')[-1]}.") from None
    if not len(vehicle):
        raise DataError(f"{name} has no rows.")
    if (whole := _whole_numbers(names)) is not None:
        vehicle = whole[vehicle]
    dt = FRAME
    if "time" in columns:
        time = columns.pop("time")
        steps = np.diff(np.unique(time[np.isfinite(time)]))
        dt = round(float(np.median(steps)), 6) if len(steps) else FRAME
        columns["frame"] = np.round((time - np.nanmin(time)) / dt) if "frame" not in columns else columns["frame"]
    return clean({"vehicle": vehicle, **columns}, road, dt, name)


def _value(cell: str) -> float:
    """A number; an empty cell is none."""
    return float(cell) if cell.strip() else float("nan")


def _whole_numbers(names: np.ndarray) -> np.ndarray | None:
    """The vehicles' own numbers, if all have one."""
    try:
        return np.array([int(each) for each in names.tolist()], dtype=np.int64)
    except (ValueError, OverflowError):
        return None


def write_table(tracks: Tracks, path: str | Path) -> Path:
    """Write a log as a table that `read_table` reads, to the millimetre; returns where."""
    path = Path(path)
    columns = (tracks.vehicle, tracks.frame, tracks.frame * tracks.dt, tracks.x, tracks.y, tracks.length, tracks.width)
    kinds = ("%d", "%d", "%.6f", "%.3f", "%.3f", "%.3f", "%.3f", "%d")
    rows = np.column_stack([*columns, tracks.lane])
    try:
        np.savetxt(path, rows, fmt=kinds, delimiter=",", header="vehicle,frame,time,x,y,length,width,lane", comments="")
    except OSError as error:
        raise DataError(f"{path} could not be written: {error.strerror}.") from error
    return path
