"""The bytes of a log as a stream, decompressed in chunks, so that a small file cannot fill the memory."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lowland.errors import DataError
from lowland.files import regular

TIMES, SMALL = 60, 2**22
"""Maximum compression ratio of a gzip file, checked after so many bytes: XML logs compress 10 to 30 times."""
SHOWN = 2**24
"""File size in bytes from which a progress bar is shown."""


@contextmanager
def opened(path: str | Path) -> Iterator[tuple[BinaryIO, int]]:
    """An open file and its size, with a progress bar on a terminal.

    Raises:
        DataError: if it cannot be read, or is a folder, a named pipe or a device.
    """
    from rich.console import Console
    from rich.progress import Progress

    path = Path(path)
    if not path.exists():
        raise DataError(f"There is no readable log at {path}: No such file or directory.")
    size = regular(path).stat().st_size
    console = Console(stderr=True)
    hidden = size < SHOWN or not console.is_terminal
    try:
        with path.open("rb") as file, Progress(console=console, transient=True, disable=hidden) as bar:
            yield (file if hidden else bar.wrap_file(file, size, description=f"reading {path.name}")), size
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"There is no readable log at {path}: {error.strerror or error}.") from None


def unpacked(file: BinaryIO, name: str) -> io.BufferedReader[Any]:
    """The content of a file, decompressed if it is gzipped.

    Args:
        file: at its beginning; it need not be seekable.
        name: for errors.
    """
    through = _Through(file)
    stream = io.BufferedReader(through)
    if stream.peek(2)[:2] == b"\x1f\x8b":
        return io.BufferedReader(_Unpacked(stream, through, name))
    return stream


class _Through(io.RawIOBase):
    """Any object with `read` as a raw stream, which can be buffered and peeked into."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.count = file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


class _Unpacked(_Through):
    def __init__(self, packed: io.BufferedReader[Any], source: _Through, name: str) -> None:
        super().__init__(gzip.GzipFile(fileobj=packed))  # pyright: ignore[reportArgumentType]
        self.source, self.name = source, name

    def readinto(self, buffer: memoryview) -> int:
        try:
            count = super().readinto(buffer)
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{self.name} is a gzip file that is damaged or truncated.") from None
        # By the bytes read so far, so that a decompression bomb is detected early.
        if self.count > SMALL and self.count > TIMES * self.source.count:
            raise DataError(
                f"{self.name} unpacks to more than {TIMES} times its size, which no log does: it is not read. If it is "
                "yours, unpack it first."
            )
        return count


def check_archive(file: BinaryIO, most: int, name: str) -> None:
    """Refuse a ZIP archive whose contents would not fit into memory, by its directory.

    Args:
        file: seekable; left at its beginning.
        most: maximum bytes of its unpacked contents.
        name: for errors.

    Raises:
        DataError: if it holds more. A damaged archive passes, since reading it will fail.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError):
        total = 0
    file.seek(0)
    if total > most:
        raise DataError(
            f"{name} would unpack to {total / 2**20:,.0f} MB, and at most {most / 2**20:,.0f} MB are read of a file "
            "like it: split it into several."
        )
