"""NGSIM trajectories (US-101, I-80 and others): 18 columns in feet, by white space, or with a header by commas.

Local_X runs from the left edge of the road to the right, Local_Y along it, to the middle of the front bumper; lane 1 is
the leftmost. Here x is along the road, y to the left, and a position is the centre.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from lowland.data.cleaning import Fault, clean
from lowland.data.tracks import Road, Tracks
from lowland.errors import DataError

FOOT = 0.3048
COLUMNS = (
    "vehicle_id frame_id total_frames global_time local_x local_y global_x global_y v_length v_width v_class v_vel "
    "v_acc lane_id preceding following space_headway time_headway"
).split()
_READ = ("vehicle_id", "frame_id", "local_x", "local_y", "v_length", "v_width", "lane_id")


def is_ngsim(first_line: str) -> bool:
    """Whether a file that begins with this line is one of NGSIM's.

    >>> is_ngsim("2 13 437 1118846980200 16.467 35.381 6451137.641 1873344.962 14.5 4.9 2 40.0 0 2 0 0 0 0")
    True
    """
    words = first_line.split()
    if len(words) == len(COLUMNS):
        try:
            return all(np.isfinite([float(word) for word in words]))
        except ValueError:
            pass
    names = [word.strip().lower() for word in first_line.split(",")]
    return all(name in names for name in ("local_x", "local_y", "v_length"))


def read_ngsim(text: str, name: str, road: Road | None = None) -> tuple[Tracks, list[Fault]]:
    """The vehicles of a recording; the files have ten frames a second.

    Raises:
        DataError: for a damaged file, or one in which several places are mixed.
    """
    first, _, body = text.partition("\n")
    names, delimiter, skip = COLUMNS, None, 0
    if "," in first:
        names, delimiter, skip = [word.strip().lower() for word in first.split(",")], ",", 1
        if missing := [column for column in _READ if column not in names]:
            raise DataError(f"{name} has no column {missing[0]}, which recordings of NGSIM have.")
        if not body.strip():
            raise DataError(f"{name} has no rows.")
    try:
        table: npt.NDArray[np.float64] = np.loadtxt(
            io.StringIO(text),
            delimiter=delimiter,
            skiprows=skip,
            ndmin=2,
            comments=None,
            usecols=[names.index(key) for key in _READ],
        )
    except (ValueError, IndexError) as error:
        raise DataError(f"{name} is damaged: {_brief(error)}. Each row of NGSIM has 18 numbers.") from None
    vehicle, frame, across, along, length, width, lane = table.T
    columns = {
        "vehicle": vehicle,
        "frame": frame,
        "x": (along - length / 2) * FOOT,
        "y": -across * FOOT,
        "length": length * FOOT,
        "width": width * FOOT,
        "lane": lane,
    }
    return clean(columns, road, dt=0.1, name=name)


def _brief(error: Exception) -> str:
    return str(error).split("\n")[0].split(";")[0].rstrip(".")
