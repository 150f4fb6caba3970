"""Logs of traffic in the formats in which they are found; `read_tracks` tells them by content."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

from lowland.data.cleaning import Fault
from lowland.data.logs.commonroad import read_commonroad
from lowland.data.logs.header import Reading
from lowland.data.logs.opening import opened, unpacked
from lowland.data.logs.own import load_tracks, save_tracks
from lowland.data.logs.sumo import read_sumo
from lowland.data.logs.table import read_table, write_table
from lowland.data.tracks import Road, Tracks
from lowland.errors import DataError, LowlandError, OptionError

__all__ = ["Reading", "parse_tracks", "read_tracks", "save_tracks", "write_table"]

_XML: dict[str, Callable[..., tuple[Tracks, list[Fault]]]] = {"commonRoad": read_commonroad, "fcd-export": read_sumo}
_LARGEST, _SILENT = 2**29, 2**24
"""Bytes of one of Lowland's own files, and between two elements of XML."""


def read_tracks(
    path: str | Path,
    road: Road | None = None,
    *,
    columns: str | Mapping[str, str] = "",
    units: str = "",
    fps: float = 0.0,
    reading: Reading | None = None,
) -> tuple[Tracks, list[Fault]]:
    """A log of traffic, and what was wrong with it: what is safe is kept, and each fault says what was done.

    The format is told by the content: Lowland's own files, tables (NGSIM, highD, inD, INTERACTION, or of one's own),
    CommonRoad XML, or SUMO's floating-car output; text and XML also packed by gzip. `Tracks.reading` says how a table
    was understood.

    Args:
        path: of the file.
        road: the section, where it is known better than the file says; in the frame that the reader uses.
        columns, units, fps: what a table means, where its header does not tell; see `Reading`.
        reading: the three in one.

    Raises:
        DataError: if there is no such file, or it is damaged, truncated, of another kind, or what it says of units,
            times, directions and who is who does not fit together.
        OptionError: for columns, units or frames that cannot be, or that are given for a file that is no table.
    """
    reading = reading or Reading(columns, units, fps)
    with opened(path) as (file, size):
        return _read(file, size, Path(path).name, road, reading)


def parse_tracks(payload: bytes, name: str, road: Road | None = None) -> tuple[Tracks, list[Fault]]:
    """The log in the bytes of a file; see `read_tracks`."""
    return _read(io.BytesIO(payload), len(payload), name, road, Reading())


def _read(file: BinaryIO, size: int, name: str, road: Road | None, reading: Reading) -> tuple[Tracks, list[Fault]]:
    stream = unpacked(file, name)
    head = stream.peek(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head.startswith((b"PK", b"<")):
        if not stream.peek(1):
            raise DataError(f"{name} is empty.")
        return read_table(io.TextIOWrapper(stream, "utf-8-sig", newline=""), name, road, reading)
    if reading.given:
        raise OptionError(f"{name} is no table, so that its columns, units and frames are known: leave them out.")
    if head.startswith(b"PK"):
        if size > _LARGEST:
            raise DataError(f"{name} has {size / 2**20:,.0f} MB: logs of Lowland have at most {_LARGEST / 2**20:,.0f}.")
        return load_tracks(stream.read(), name, road)
    return _xml(stream, name, road)


def _xml(stream: BinaryIO, name: str, road: Road | None) -> tuple[Tracks, list[Fault]]:
    events = _events(stream, name)
    try:
        root = next(events)[1]
        if root.tag not in _XML:
            known = " or ".join(f"<{tag}>" for tag in _XML)
            raise DataError(f"{name} is XML that begins with <{root.tag[:40]}>; a log of traffic begins with {known}.")
        return _XML[root.tag](root, events, name, road)
    except (ElementTree.ParseError, UnicodeError, LookupError, ValueError, StopIteration) as error:
        if isinstance(error, LowlandError):
            raise
        raise DataError(f"{name} is damaged or truncated: it is not whole XML ({error}).") from None


def _events(stream: BinaryIO, name: str) -> Iterator[tuple[str, ElementTree.Element]]:
    """Beginnings and ends of elements, as they are read."""
    parser = ElementTree.XMLPullParser(("start", "end"))
    silent = 0
    while piece := stream.read(2**16):
        parser.feed(piece)
        found: list[Any] = list(parser.read_events())
        silent = 0 if found else silent + len(piece)
        if silent > _SILENT:
            raise DataError(f"{name} has {_SILENT / 2**20:.0f} MB without an element of XML: it is no log of traffic.")
        yield from found
    parser.close()
    yield from parser.read_events()  # pyright: ignore[reportReturnType]
