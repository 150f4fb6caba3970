"""Reading within bounds: only files that end, of a size that fits, that do not unpack to more than their size explains.

A few kilobytes can ask for any amount of memory: a gzip file that unpacks a thousandfold, an archive of arrays that
announces them, JSON that is nested a hundred thousand times. Each is one sentence here, before the memory is asked for.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowland.errors import DataError, LowlandError
from lowland.files import regular

if TYPE_CHECKING:
    import numpy as np

UNPACKED, RATIO = 2**29, 10
"""What a packed file may unpack to: so many bytes, or so many times its own size where that is more."""
WHOLE = 2**30
"""Bytes of the largest file that is read in one piece."""


def read_bytes(path: Path, error: type[LowlandError] = DataError, most: int = WHOLE) -> bytes:
    """All bytes of a file, which is `regular` and not larger than `most`.

    Raises:
        LowlandError: of the type `error`, if it is no such file or cannot be read.
    """
    try:
        if (size := regular(path, error).stat().st_size) > most:
            raise error(f"{path} has {size:,} bytes, more than the {most:,} that are read at once: name another file.")
        return path.read_bytes()
    except OSError as failure:
        if isinstance(failure, LowlandError):
            raise
        raise error(f"{path} could not be read: {failure.strerror or failure}.") from failure


def parse_json(text: str | bytes) -> Any:
    """The value that JSON text stands for; every fault of it is a ValueError.

    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: it is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_unpacked(unpacked: int, packed: int, name: str, error: type[LowlandError] = DataError) -> None:
    """Raise `error` if a file of `packed` bytes unpacks to too many: `UNPACKED`, or `RATIO` times its size.

    >>> check_unpacked(6_300_000_000, 37_000_000, "log.gz")
    Traceback (most recent call last):
    lowland.errors.DataError: log.gz unpacks to more than 537 MB from 37.0 MB: if that is meant, unpack it yourself.
    """
    if unpacked > (most := max(UNPACKED, RATIO * packed)):
        raise error(
            f"{name} unpacks to more than {most / 1e6:.0f} MB from {packed / 1e6:.1f} MB: if that is meant, unpack it "
            "yourself."
        )


def unzip(payload: bytes, name: str, error: type[LowlandError] = DataError) -> bytes:
    """The bytes inside a gzip file, bounded by `check_unpacked`; a payload that is no gzip file as it is.

    Raises:
        LowlandError: of the type `error`, if it is damaged, truncated, or unpacks to too much.

    >>> unzip(gzip.compress(b"few"), "a"), unzip(b"plain", "b")
    (b'few', b'plain')
    """
    if not payload.startswith(b"\x1f\x8b"):
        return payload
    pieces, size = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
            while piece := file.read(2**20):
                size += len(piece)
                check_unpacked(size, len(payload), name, error)
                pieces.append(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise error(f"{name} is a truncated or damaged gzip file ({fault}). Get it again.") from fault
    return b"".join(pieces)


DAMAGED = (
    ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError, OverflowError, SyntaxError, TypeError,
    IndexError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged archive of arrays ends in; NotImplementedError and RecursionError are RuntimeErrors."""


def read_arrays(source: Path | bytes, name: str, error: type[LowlandError] = DataError) -> dict[str, np.ndarray]:
    """The arrays in an `.npz` file by name, bounded by `check_unpacked`; nothing is unpickled.

    Args:
        source: the file, or its bytes.
        name: of the file, for errors.

    Raises:
        LowlandError: of the type `error`, if it is damaged, no such archive, holds objects, or unpacks to too much.
    """
    import numpy as np

    try:
        with io.BytesIO(source) if isinstance(source, bytes) else regular(source, error).open("rb") as file:
            if file.read(2) != b"PK":
                raise ValueError
            with zipfile.ZipFile(file) as archive:
                # Members end at the sizes that the directory announces, so that these bound what is read.
                unpacked = sum(member.file_size for member in archive.infolist())
            check_unpacked(unpacked, file.seek(0, os.SEEK_END), name, error)
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return {key: _plain(arrays, key, name, error) for key in arrays.files}
    except DAMAGED as fault:
        if isinstance(fault, LowlandError):
            raise
        raise error(
            f"{name} is not an .npz file of plain arrays that can be read: it is truncated, damaged, of another "
            "kind, or holds Python objects."
        ) from fault


def _plain(arrays: Mapping[str, np.ndarray], key: str, name: str, error: type[LowlandError]) -> np.ndarray:
    import numpy as np

    try:
        return np.asarray(arrays[key])
    except ValueError as fault:
        if "Object arrays" not in str(fault):
            raise
        raise error(
            f"{name}: {key} holds Python objects, as np.savez writes for images or episodes of several sizes: bring "
            "all to one size, and save one array that can be read."
        ) from None
