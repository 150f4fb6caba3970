"""Reads a user's log for replay: frames of 0.1 s, smoothed; used by recipes and environments."""

from __future__ import annotations

import logging
from pathlib import Path

from lowland.data.cleaning import Fault
from lowland.data.logs import Reading, read_tracks
from lowland.data.tracks import Tracks

FRAME = 0.1
"""Seconds between the frames of a log for replay."""
_log = logging.getLogger(__name__)


def own_log(path: str | Path, reading: Reading | None = None) -> tuple[Tracks, list[Fault]]:
    """A clean log in frames of 0.1 s, smoothed, and the faults found in the file; see `lowland.data.logs.read_tracks`.

    Raises:
        DataError: for a file that cannot be read.
    """
    tracks, faults = read_tracks(path, reading=reading)
    _log.info("%s", tracks.reading)
    for fault in faults:
        _log.warning("%s", fault.sentence)
    if abs(tracks.dt - FRAME) > 1e-6:
        _log.info("The frames of %s, %g s apart, are resampled to %g s.", tracks.label, tracks.dt, FRAME)
        tracks = tracks.resample(FRAME)
    return tracks.smooth(), faults
