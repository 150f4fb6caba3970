"""Lowland's own track files: compressed NumPy archives, small enough to ship recordings with the package.

Positions are stored in whole millimetres, as second differences along each gap-free stretch: a car at constant speed is
a row of zeros. An hour of six dense lanes is about two megabytes. Nothing in it is pickled.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lowland.checksums import BLANK, CHECKSUM, check_seal, sealed
from lowland.data.cleaning import Fault
from lowland.data.logs.opening import check_archive
from lowland.data.tracks import Integers, Road, Tracks
from lowland.errors import DataError, LowlandError
from lowland.files import write_atomically

FORMAT = "lowland tracks 1"
LARGEST = 10_000_000
"""Maximum rows, 4.5 hours of six dense lanes: a damaged file could claim any number, and each takes 100 bytes."""


def save_tracks(tracks: Tracks, path: str | Path) -> Path:
    """Write a log, rounded to millimetres, to a `.npz` file that `read_tracks` reads; returns its path.

    >>> import tempfile
    >>> log = Tracks([1, 1], [0, 1], [0.0, 1.0], [1.8, 1.8], [4.5] * 2, [1.8] * 2, [0, 0], Road(0, 9, (0.0, 3.7)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again, faults = load_tracks(save_tracks(log, Path(folder) / "log.npz").read_bytes(), "log.npz")
    >>> again.x.tolist(), faults
    ([0.0, 1.0], [])
    """
    path, segments = Path(path), tracks.segments()
    start, count = segments[:, 0], np.diff(segments)[:, 0]
    road = {"from": tracks.road.length_from, "to": tracks.road.length_to, "edges": list(tracks.road.edges)}
    head = {"format": FORMAT, "dt": tracks.dt, "name": tracks.name, "road": road}
    columns: dict[str, npt.NDArray[Any]] = {
        "head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
        "vehicle": tracks.vehicle[start],
        "frame": tracks.frame[start],
        "count": count,
        # A vehicle has one size: if sizes vary along a stretch, the first is kept.
        "length": np.round(tracks.length[start] * 1000).astype(np.int32),
        "width": np.round(tracks.width[start] * 1000).astype(np.int32),
        "lane": _smallest(np.diff(tracks.lane, prepend=0)),
    }
    for name in ("x", "y"):
        first, second = _differences(np.round(getattr(tracks, name) * 1000).astype(np.int64), start, count)
        columns |= {f"{name}_first": first, name: _smallest(second)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **columns)  # pyright: ignore[reportArgumentType]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = f"{CHECKSUM} {BLANK}".encode()
    write_atomically(path, sealed(buffer.getvalue()), DataError)
    return path


def load_tracks(payload: bytes, name: str, road: Road | None = None) -> tuple[Tracks, list[Fault]]:
    """The log in the bytes of a file, on another road if one is given; without faults, since Lowland writes clean logs.

    Raises:
        DataError: if the file is damaged or of another kind.
    """
    check_archive(io.BytesIO(payload), 24 * LARGEST, name)
    check_seal(name, payload, error=DataError)
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as file:
            columns = {key: file[key] for key in file.files}
        head = json.loads(columns.pop("head").tobytes())
        if head["format"] != FORMAT:
            raise DataError(f"{name} is of the format {head['format']!r}, which this version of Lowland does not know.")
        tracks = _assemble(columns, head)
        return (tracks if road is None else replace(tracks, road=road, lane=road.lane_of(tracks.y))), []
    except LowlandError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged archive fails in any of zlib, zipfile, numpy and json
        kind = type(error).__name__
        raise DataError(
            f"{name} is not a whole file of Lowland's tracks: it is damaged or truncated ({kind})."
        ) from None


def _assemble(columns: Mapping[str, npt.NDArray[Any]], head: dict[str, Any]) -> Tracks:
    count = columns["count"].astype(np.int64)
    rows = int(count.sum())
    if (count < 1).any() or not 0 < rows <= LARGEST:
        raise ValueError("no such number of rows")
    start = np.cumsum(count) - count
    here = np.arange(rows) - np.repeat(start, count)
    x, y = (_sums(columns[f"{axis}_first"], columns[axis], start, count) / 1000 for axis in ("x", "y"))
    return Tracks(
        vehicle=np.repeat(columns["vehicle"], count),
        frame=np.repeat(columns["frame"], count) + here,
        x=x,
        y=y,
        length=np.repeat(columns["length"], count) / 1000,
        width=np.repeat(columns["width"], count) / 1000,
        lane=np.cumsum(columns["lane"], dtype=np.int64),
        road=Road(head["road"]["from"], head["road"]["to"], tuple(head["road"]["edges"])),
        dt=head["dt"],
        name=head["name"],
    )


def _differences(values: Integers, start: Integers, count: Integers) -> tuple[Integers, Integers]:
    """First value and first difference of each stretch (S, 2), and the second differences of all its rows."""
    step = np.diff(values, prepend=0)
    second = np.diff(step, prepend=0)
    after = np.minimum(start + 1, len(values) - 1)
    first = np.stack([values[start], np.where(count > 1, step[after], 0)], axis=1)
    second[start] = 0
    second[start[count > 1] + 1] = 0
    return first, second


def _sums(first: Integers, second: npt.NDArray[Any], start: Integers, count: Integers) -> Integers:
    """The inverse of `_differences`."""
    step = np.cumsum(second, dtype=np.int64)
    step += np.repeat(first[:, 1] - step[start], count)
    step[start] = 0
    total = np.cumsum(step)
    return total + np.repeat(first[:, 0] - total[start], count)


def _smallest(values: Integers) -> npt.NDArray[Any]:
    """The same numbers in the smallest integer dtype that holds them."""
    most = int(np.abs(values).max(initial=0))
    return values.astype(next(kind for kind in (np.int8, np.int16, np.int32, np.int64) if most <= np.iinfo(kind).max))
