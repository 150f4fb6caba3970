"""Logs of traffic in the formats in which they are found, one file a format; `read_tracks` tells them by content."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from xml.etree import ElementTree

from lowland.data.cleaning import Fault
from lowland.data.logs.commonroad import read_commonroad
from lowland.data.logs.ngsim import is_ngsim, read_ngsim
from lowland.data.logs.own import load_tracks, save_tracks
from lowland.data.logs.sumo import read_sumo
from lowland.data.logs.table import read_table, write_table
from lowland.data.tracks import Road, Tracks
from lowland.errors import DataError

__all__ = ["parse_tracks", "read_tracks", "save_tracks", "write_table"]

_XML = {"commonRoad": read_commonroad, "fcd-export": read_sumo}


def read_tracks(path: str | Path, road: Road | None = None) -> tuple[Tracks, list[Fault]]:
    """A log of traffic, and what was wrong with it: what is safe is kept, and each fault says what was done.

    The format is told by the content: Lowland's own files, NGSIM text, CommonRoad XML, SUMO's floating-car output (XML,
    also with .gz), or a CSV table with the columns vehicle, frame or time, x, y, length, width and lane.

    Args:
        path: of the file.
        road: the section, where it is known better than the file says; in the frame that the reader uses.

    Raises:
        DataError: if there is no such file, or it is damaged, truncated, of another kind, or not in metres.
    """
    path = Path(path)
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise DataError(f"There is no log that can be read at {path}: {error.strerror}.") from None
    return parse_tracks(payload, path.name, road)


def parse_tracks(payload: bytes, name: str, road: Road | None = None) -> tuple[Tracks, list[Fault]]:
    """The log in the bytes of a file; see `read_tracks`."""
    if payload.startswith(b"\x1f\x8b"):
        try:
            payload = gzip.decompress(payload)
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{name} is a gzip file that is damaged or truncated.") from None
    if payload.startswith(b"PK"):
        return load_tracks(payload, name, road)
    if payload.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _xml(payload, name, road)
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name} is not a log of traffic, or is damaged: it is neither text nor XML.") from None
    text = text.lstrip()
    if not text:
        raise DataError(f"{name} is empty.")
    if is_ngsim(text[: text.find("\n") + 1 or None]):
        return read_ngsim(text, name, road)
    return read_table(text, name, road)


def _xml(payload: bytes, name: str, road: Road | None) -> tuple[Tracks, list[Fault]]:
    try:
        root = ElementTree.fromstring(payload)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{name} is damaged or truncated: it is not whole XML ({error}).") from None
    if root.tag not in _XML:
        known = " or ".join(f"<{tag}>" for tag in _XML)
        raise DataError(f"{name} is XML that begins with <{root.tag[:40]}>; a log of traffic begins with {known}.")
    return _XML[root.tag](root, name, road)
