"""A folder of recorded motions for experiments: the BasicMotions data set from the package aeon."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lowland.data.lookup import read
from lowland.data.photos import new_folder
from lowland.data.source import Source
from lowland.errors import DataError

_SOURCE = Source(
    name="motions",
    package="aeon",
    version="1.6.0",
    sha256={
        "aeon-1.6.0.tar.gz": "4bc3d9ee64caf4befdf98371997052c294502ea8ad117cc8a6df6045081af381",
        "BasicMotions_TRAIN.ts": "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
        "BasicMotions_TEST.ts": "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
    },
    client="pip",
    archive="aeon-1.6.0.tar.gz",
    size=5_751_669,
    root="aeon-1.6.0/aeon/datasets/data/BasicMotions",
    module="aeon",
)
_FILES = ("BasicMotions_TRAIN.ts", "BasicMotions_TEST.ts")
_HEADING = "acceleration_x,acceleration_y,acceleration_z,rotation_x,rotation_y,rotation_z"


def sample_motions(folder: str | Path, data_dir: str | Path | None = None) -> Path:
    """Write 80 smartwatch recordings as CSV files, one sub-folder for each of four activities; returns the folder.

    Students wore it while standing, walking, running or playing badminton. Each file has ten seconds of acceleration
    and rotation along three axes, ten rows per second, in units that the source does not state (BasicMotions in the UEA
    archive: Bagnall et al., 2018, arXiv:1811.00075).

    Args:
        folder: must be empty or not exist.
        data_dir: folder with `aeon-1.6.0.tar.gz` or the two `.ts` files. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files, or if the folder is in use or cannot be written.

    """
    content = read(_SOURCE, _FILES, data_dir).content
    many = [series for name in _FILES for series in read_ts(content[name], name)]
    with new_folder(folder) as root:
        for number, (label, series_TC) in enumerate(many):
            place = root / label.lower()
            place.mkdir(exist_ok=True)
            np.savetxt(place / f"{number:02}.csv", series_TC, "%.6f", ",", header=_HEADING, comments="")
    return Path(folder)


def read_ts(payload: bytes, name: str) -> list[tuple[str, np.ndarray]]:
    r"""The class and the values (T, 6) of each series in a file of the UEA archive.

    Below `@data` each line is a series: channels separated by ":", each with numbers separated by ",", and the class at
    the end.

    Raises:
        DataError: for a line in another form; the message names it.

    >>> label, series_TC = read_ts(b"@data\n1,2:0,0:0,0:0,0:0,0:3,4:Walking", "two steps")[0]
    >>> label, series_TC.shape, series_TC[0].tolist()
    ('Walking', (2, 6), [1.0, 0.0, 0.0, 0.0, 0.0, 3.0])
    """
    lines = payload.decode("utf-8", "replace").splitlines()
    head = next((number for number, line in enumerate(lines, 1) if line.strip().lower() == "@data"), len(lines))
    found = []
    for number, line in enumerate(lines[head:], head + 1):
        *channels, label = line.strip().split(":")
        try:
            series_TC = np.array([channel.split(",") for channel in channels], dtype=np.float64).T
        except ValueError:
            series_TC = np.empty((0, 0))
        if series_TC.shape[1:] != (6,) or not np.isfinite(series_TC).all() or not label.isalpha():
            raise DataError(f"{name}, line {number} is not six channels of equally many numbers and a class.")
        found.append((label, series_TC))
    if not found:
        raise DataError(f"{name} holds no series: it is damaged or is another file.")
    return found
