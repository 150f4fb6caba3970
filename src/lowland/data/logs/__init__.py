"""Readers of traffic logs in common formats; `read_tracks` detects the format from the content."""

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
"""Maximum bytes of one of Lowland's own files, and between two XML elements."""


def read_tracks(
    path: str | Path,
    road: Road | None = None,
    *,
    columns: str | Mapping[str, str] = "",
    units: str = "",
    fps: float = 0.0,
    reading: Reading | None = None,
) -> tuple[Tracks, list[Fault]]:
    """A traffic log and its faults: what is safe is kept, and each fault says what was done.

    The format is detected from the content: Lowland's own files, tables (NGSIM, highD, inD, INTERACTION, or your own),
    CommonRoad XML, or SUMO's floating-car output; text and XML may be gzipped. `Tracks.reading` says how a table was
    interpreted.

    Args:
        path: the file.
        road: the section, if it is known better than from the file; in the reader's coordinates.
        columns, units, fps: how to read a table whose header does not say; see `Reading`.
        reading: all three in one.

    Raises:
        DataError: if the file does not exist, is damaged, truncated or of another kind, or is inconsistent in its
            units, times, directions or vehicle numbers.
        OptionError: for invalid columns, units or fps, or if they are given for a file that is not a table.
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
        raise OptionError(f"{name} is not a table, and its columns, units and frames are known: leave them out.")
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
    """Start and end events of elements, while the file is read."""
    parser = ElementTree.XMLPullParser(("start", "end"))
    silent = 0
    while piece := stream.read(2**16):
        parser.feed(piece)
        found: list[Any] = list(parser.read_events())
        silent = 0 if found else silent + len(piece)
        if silent > _SILENT:
            raise DataError(f"{name} has {_SILENT / 2**20:.0f} MB without an XML element: it is not a traffic log.")
        yield from found
    parser.close()
    yield from parser.read_events()  # pyright: ignore[reportReturnType]
