"""Vehicle tables, with one row per vehicle and frame, from public data sets (see `header`) or users.

The file is read in chunks of some thousand rows, and only the needed columns are kept: 8 bytes per number, about 70 per
row. Processing takes at most six times as much.
"""

from __future__ import annotations

import csv
import io
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np

from lowland.data.cleaning import Fault, clean
from lowland.data.logs.clock import clocked
from lowland.data.logs.header import NGSIM, Header, Reading, understand
from lowland.data.sense import Columns, check_lanes, check_overlaps, check_speeds, turn
from lowland.data.tracks import REAL, WHOLE, Integers, Road, Tracks
from lowland.errors import DataError
from lowland.files import replacing

ORDERED = (
    "vehicle_id frame_id total_frames global_time local_x local_y global_x global_y v_length v_width v_class v_vel "
    "v_acc lane_id preceding following space_headway time_headway"
).split()
"""The columns of NGSIM's text files, which have no header."""
PIECE, SAMPLE, LINE = 5_000, 500, 100_000
"""Rows per chunk, lines used to detect the number format, and the longest line allowed."""
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$")
_DECIMAL = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?$")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)?$")


def read_table(
    text: TextIO | str, name: str, road: Road | None = None, reading: Reading | None = None
) -> tuple[Tracks, list[Fault]]:
    r"""The vehicles of a table, separated by commas, semicolons, tabs or spaces.

    Args:
        text: the table, or a file open at its beginning.
        name: name of the log.
        road: the road, if known.
        reading: the user's description of columns, units and frames.

    Raises:
        DataError: for a missing column, a cell that is not a number, or inconsistent units, times, directions or
            vehicle numbers.

    >>> log, faults = read_table("vehicle,time,x,y,length,width\n1,0.0,0,0,4.5,1.8\n1,0.2,2,0,4.5,1.8\n", "mine.csv")
    >>> log.dt, log.x.tolist()
    (0.2, [0.0, 2.0])
    """
    reading = reading or Reading()
    source = io.StringIO(text, newline="") if isinstance(text, str) else text
    lines = _lines(source, name)
    sample = list(islice(lines, SAMPLE))
    while sample and not sample[0].strip():
        sample.pop(0)
    if not sample:
        raise DataError(f"{name} is empty.")
    if any("\0" in line for line in sample):
        raise DataError(f"{name} is not a log of traffic, or is damaged: it is neither text nor XML.")
    separator = _separator(sample[0])
    names = next(_split(sample[:1], separator, name))
    if len(names) == len(ORDERED) and all(_is_number(each) for each in names):
        names = ORDERED
    else:
        sample = sample[1:]
    header = understand(names, reading, name)
    if not any(line.strip() for line in sample):
        raise DataError(f"{name} has no rows.")
    comma = _comma(list(_split(sample, separator, name)), header, separator, name)
    columns = _columns(_split(chain(sample, lines), separator, name), header, comma, name)
    return _log(columns, header, reading, road, name)


def _log(
    columns: Columns, header: Header, reading: Reading, road: Road | None, name: str
) -> tuple[Tracks, list[Fault]]:
    """Build the log from raw numbers."""
    label, layout = f"The log {name}", header.layout
    time, frame = columns.pop("time", None), columns.pop("frame", None)
    frames, dt, clock = clocked(
        columns["vehicle"], frame, time, label, reading.fps, layout.fps,
        absolute=layout.absolute,
    )  # fmt: skip
    columns["frame"] = frames
    if layout.point == "front":
        columns["x"] = columns["x"] - columns["length"] / 2
    elif layout.point == "corner":
        # The corner is the upper left one, and y has been flipped.
        columns["x"], columns["y"] = columns["x"] + columns["length"] / 2, columns["y"] - columns["width"] / 2
    check_speeds(columns, dt, not reading.fps and "time" not in reading.chosen, label)
    if layout.turned:
        turn(columns, dt, label)
    if "lane" in columns and not header.stated:
        check_lanes(columns, layout.lanes, layout.name == "own", label)
    for key in ("speed", "vx", "vy"):
        columns.pop(key, None)
    tracks, faults = clean(columns, road, dt, name)
    check_overlaps({key: getattr(tracks, key) for key in (*WHOLE, *REAL)}, label)
    tracks = replace(tracks, reading=f"{header.sentence} {clock}")
    return tracks, faults


def _lines(source: TextIO, name: str) -> Iterator[str]:
    """Lines without comments, of limited length."""
    try:
        while line := source.readline(LINE):
            if len(line) >= LINE:
                raise DataError(f"{name} has a line of more than {LINE:,} characters: it is not a table of tracks.")
            yield line
    except UnicodeDecodeError:
        raise DataError(f"{name} is not a log of traffic, or is damaged: it is neither text nor XML.") from None


def _separator(line: str) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    most = max(",;\t|", key=bare.count)
    return most if bare.count(most) else " "


def _split(lines: Sequence[str] | Iterator[str], separator: str, name: str) -> Iterator[list[str]]:
    """Cells of each non-empty line."""
    if separator == " ":
        yield from (words for line in lines if (words := line.split()))
        return
    try:
        yield from (row for row in csv.reader(iter(lines), delimiter=separator, skipinitialspace=True) if any(row))
    except csv.Error:
        raise DataError(f"{name} is damaged or truncated: a cell is quoted and never ends.") from None


def _comma(rows: list[list[str]], header: Header, separator: str, name: str) -> str:
    """The meaning of a comma within a number: a thousands separator, as in 1,234.5, or a decimal one, as in 3,5."""
    places = [place for key, place in header.place.items() if key not in ("vehicle", "place")]
    cells = [cell.strip() for row in rows for place in places if place < len(row) and "," in (cell := row[place])]
    cells = [cell for cell in cells if ":" not in cell]
    thousands = sum(bool(_THOUSANDS.match(cell)) for cell in cells)
    if thousands == len(cells):
        if cells and separator != "," and not any(cell.count(",") > 1 or "." in cell for cell in cells):
            raise DataError(
                f"{name} has numbers such as {cells[0]}, and nothing tells whether their comma is a decimal one: write "
                "them with a point."
            )
        return ""
    if all(_DECIMAL.match(cell) for cell in cells):
        return "."
    wrong = next(cell for cell in cells if not _THOUSANDS.match(cell))
    raise DataError(f"{name} has a cell that is not a number: {wrong[:40]!r}.")


def _columns(rows: Iterator[list[str]], header: Header, comma: str, name: str) -> Columns:
    """The numbers of all needed columns, in metres and seconds; vehicles keep their own numbers if possible."""
    kept = {key: array("d") for key in header.place if key not in ("vehicle", "place")}
    codes: dict[str, int] = {}
    places: dict[str, None] = {}
    vehicle, width = array("q"), max(header.place.values())
    origin: list[datetime] = []
    while piece := list(islice(rows, PIECE)):
        if min(map(len, piece)) <= width:
            what = f" Each row of NGSIM has {len(ORDERED)} numbers." if header.layout is NGSIM else ""
            raise DataError(f"{name} is damaged or truncated: a row has fewer cells than its first line.{what}")
        for key, place in header.place.items():
            cells = [row[place] for row in piece]
            if key == "vehicle":
                vehicle.extend([codes.setdefault(cell.strip(), len(codes)) for cell in cells])
            elif key == "place":
                places |= dict.fromkeys(cell.strip() for cell in cells)
                if len(places) > 1:
                    raise DataError(
                        f"{name} holds more than one place, {' and '.join(list(places)[:2])}, by its column "
                        f"{header.layout.columns[key]}: vehicles of one are not traffic for the other. Write the "
                        "rows of each to a file of its own."
                    )
            else:
                kept[key].extend(_numbers(cells, key, comma, origin, name))
    if not vehicle:
        raise DataError(f"{name} has no rows.")
    columns: Columns = {key: np.frombuffer(values) for key, values in kept.items()}
    for key, scale in header.scale.items():
        if key in columns and scale != 1:
            columns[key] = columns[key] * scale
    number = np.frombuffer(vehicle, dtype=np.int64)
    numbers = _whole_numbers(list(codes))
    columns["vehicle"] = number if numbers is None else numbers[number]
    return columns


def _numbers(cells: list[str], key: str, comma: str, origin: list[datetime], name: str) -> list[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        pass
    values = []
    for cell in map(str.strip, cells):
        try:
            if not cell or cell.lower() in ("na", "null", "none", "nan"):
                values.append(math.nan)
            elif "," in cell and not (key == "time" and ":" in cell):
                if not (_DECIMAL if comma else _THOUSANDS).match(cell):
                    raise ValueError(cell)
                values.append(float(cell.replace(",", comma)))
            elif key == "time" and ":" in cell:
                values.append(_seconds(cell, origin))
            else:
                values.append(float(cell))
        except ValueError:
            hint = ""
            if key == "time":
                hint = " Times are seconds, or as 2005-06-15T07:50:00.1."
            raise DataError(f"{name} has a cell that is not a number: {cell[:40]!r}.{hint}") from None
    return values


def _seconds(cell: str, origin: list[datetime]) -> float:
    """Seconds since the first time of the log, from an ISO 8601 time."""
    found = _ISO.match(cell)
    if not found:
        raise ValueError(cell)
    date, clock, fraction, zone = found.groups()
    moment = datetime.fromisoformat(f"{date} {clock}")
    if zone:
        hours = "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}"
        moment = datetime.fromisoformat(f"{date} {clock}{hours}").astimezone(timezone.utc)
    if not origin:
        origin.append(moment)
    if (moment.tzinfo is None) != (origin[0].tzinfo is None):
        raise ValueError(cell)
    return (moment - origin[0]).total_seconds() + float(f"0.{fraction or 0}")


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell.replace(",", "")))
    except ValueError:
        return False


def _whole_numbers(names: list[str]) -> Integers | None:
    """The vehicles' own numbers, if all have one, including forms such as 1.0 or 1,234."""
    try:
        found = [float(each.replace(",", "") if _THOUSANDS.match(each) else each) for each in names]
    except ValueError:
        return None
    if not all(each.is_integer() and abs(each) < 2**53 for each in found):
        return None
    return np.array(found, dtype=np.int64)


def write_table(tracks: Tracks, path: str | Path) -> Path:
    """Write a log as a table that `read_table` reads, to the millimetre; returns its path."""
    path = Path(path)
    columns = (tracks.vehicle, tracks.frame, tracks.frame * tracks.dt, tracks.x, tracks.y, tracks.length, tracks.width)
    kinds = ("%d", "%d", "%.6f", "%.3f", "%.3f", "%.3f", "%.3f", "%d")
    rows = np.column_stack([*columns, tracks.lane])
    with replacing(path, DataError) as file:
        np.savetxt(file, rows, fmt=kinds, delimiter=",", header="vehicle,frame,time,x,y,length,width,lane", comments="")
    return path
