"""Reads files from a verified archive: tar files, Debian packages and Python wheels only.

An archive stays packed in the cache and is verified each time it is read, so damage is always detected. Members are
read into memory by name and never extracted, so no path inside an archive can reach the disk.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from lowland.data.source import Source
from lowland.errors import DataError
from lowland.files import regular


def checksum(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits; raises a DataError that names a file that cannot be read."""
    digest, path = hashlib.sha256(), regular(path)
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror}.") from error
    return digest.hexdigest()


def verify(source: Source, path: Path) -> None:
    """Raise a DataError with the file and the remedy unless the checksum is the published one."""
    found, expected = checksum(path), source.sha256[path.name]
    if found != expected:
        raise DataError(
            f"{path} is damaged or is another file: its SHA-256 is {found}, expected {expected}. {source.remedy}"
        )


def unpack(source: Source, names: Sequence[str], archive: Path) -> dict[str, bytes]:
    """The named files below `source.root` in an archive, after verifying it.

    Args:
        names: file names, or one text such as ".png" for all files that end so.

    Raises:
        DataError: for a wrong checksum, or an archive that cannot be unpacked or lacks a file.
    """
    verify(source, archive)
    content: dict[str, bytes] = {}
    try:
        with archive.open("rb") as raw:
            for member, read in _members(raw, archive):
                path = member.removeprefix("./")
                name = path.removeprefix(f"{source.root}/")
                wanted = name != path and (name.endswith(names) if isinstance(names, str) else name in names)
                if wanted and (found := read()) is not None:
                    content[name] = found
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
        raise DataError(f"{archive} could not be unpacked ({error}). {source.remedy}") from error
    sought = [next(iter(content), f"*{names}")] if isinstance(names, str) else names
    if missing := [name for name in sought if name not in content]:
        raise DataError(f"{archive} lacks {source.root}/{missing[0]}. {source.remedy}")
    return content


def _members(raw: BinaryIO, path: Path) -> Iterator[tuple[str, Callable[[], bytes | None]]]:
    """What is in an archive: names, and a function that reads each while the archive stands there, None for no file."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(raw) as wheel:
            yield from ((name, partial(wheel.read, name)) for name in wheel.namelist() if not name.endswith("/"))
        return
    with tarfile.open(fileobj=_tar_inside(raw, path)) as tar:
        yield from ((member.name, partial(_extracted, tar, member)) for member in tar)


def _extracted(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    stream = tar.extractfile(member)
    return stream.read() if stream else None


def _tar_inside(raw: BinaryIO, path: Path) -> BinaryIO:
    """A Debian package is an `ar` archive: records of a 60-byte header and a payload, one of them the tar file."""
    if path.suffix != ".deb":
        return raw
    raw.seek(8)
    while header := raw.read(60):
        size = int(header[48:58])
        if header.startswith(b"data.tar"):
            return io.BytesIO(raw.read(size))
        # Payloads are padded to an even length.
        raw.seek(size + size % 2, os.SEEK_CUR)
    raise EOFError("no data.tar inside")
