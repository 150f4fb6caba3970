"""Files: written as a whole or not at all, read within bounds and only where they are files, known by their content.

Whatever Lowland writes for a user goes through `replacing`: a process that is killed, or a disk that is full, leaves
the old file or the new one. Whatever it reads goes through `regular`, since opening a named pipe waits for ever; what a
small file unpacks to is bounded by `check_unpacked`, since a few kilobytes can ask for any amount of memory.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lowland.errors import CheckpointError, DataError, LowlandError

if TYPE_CHECKING:
    import numpy as np

UNPACKED, RATIO = 2**29, 10
"""What a packed file may unpack to: so many bytes, or so many times its own size where that is more."""
WHOLE = 2**30
"""Bytes of the largest file that is read in one piece."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextlib.contextmanager
def replacing(path: Path, error: type[LowlandError] = CheckpointError) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` when the block ends without an exception.

    It is written under a temporary name in its own folder, forced to the disk and renamed.

    Args:
        path: what is replaced; missing folders are made.
        error: raised where the disk is full or a permission is missing. The old file is then intact.
    """
    # Not by tempfile, whose files only their owner may read: a report is there to be shown.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105  the call that is atomic, and that tests replace
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException as failure:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(failure, OSError) or isinstance(failure, LowlandError):
            raise
        raise error(
            f"{path} could not be written: {failure.strerror or failure}. Earlier files are intact; free "
            "some space or choose another folder, then resume."
        ) from failure


def write_atomically(path: Path, content: bytes | str, error: type[LowlandError] = CheckpointError) -> None:
    r"""Replace a file as a whole; a full disk or a missing permission raises `error` and leaves the old file.

    Text is written as UTF-8. What is no text in the name of a file becomes an escape such as \udce9, which JSON reads
    back as the same name.
    """
    with replacing(path, error) as file:
        file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)


def regular(path: Path, error: type[LowlandError] = DataError) -> Path:
    """The path, if a file lies there that can be read to its end.

    Raises:
        LowlandError: of the type `error`, if it is missing, or is a folder, a named pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as failure:  # ValueError: a name with a zero byte
        reason = getattr(failure, "strerror", None) or str(failure)
        raise error(f"{path} cannot be read: {reason}. Check the name.") from failure
    if not stat.S_ISREG(mode):
        what = next((name for test, name in _KINDS if test(mode)), "no ordinary file")
        raise error(f"{path} is {what}, not a file: name a file that can be read to its end.")
    return path


def contents(path: Path, error: type[LowlandError] = DataError, most: int = WHOLE) -> bytes:
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
                return {key: np.asarray(arrays[key]) for key in arrays.files}
    except DAMAGED as fault:
        if isinstance(fault, LowlandError):
            raise
        raise error(
            f"{name} is not an .npz file of plain arrays that can be read: it is truncated, damaged, of another "
            "kind, or holds Python objects."
        ) from fault


def fingerprint(*parts: Any) -> str:
    """The SHA-256 of the content of values, as 64 hexadecimal digits: equal for equal content, wherever it lies.

    Args:
        parts: tensors, arrays, modules (their class, settings as printed, and weights), numbers, text, paths, and lists
            and dictionaries of them. The order of keys does not matter; dtype and shape do.

    >>> fingerprint({"a": 1, "b": [2.0]}) == fingerprint({"b": [2.0], "a": 1})
    True
    >>> import numpy as np
    >>> fingerprint(np.zeros(2)) == fingerprint(np.zeros(3))
    False

    Raises:
        TypeError: for a value of another type.
    """
    digest = hashlib.sha256()
    for part in parts:
        _digest(digest, part)
    return digest.hexdigest()


def _digest(digest: Any, part: Any) -> None:
    # Here, since commands that read a file or two answer before torch is imported.
    import numpy as np
    import torch
    from torch import Tensor, nn

    def note(text: str) -> None:
        digest.update(f"{len(text)}:{text};".encode("utf-8", "surrogateescape"))

    if isinstance(part, Tensor):
        note(f"tensor {part.dtype} {tuple(part.shape)}")
        # As bytes, since NumPy lacks bfloat16.
        digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(part, nn.Module):
        note(f"module {type(part).__module__}.{type(part).__qualname__} {part}")
        _digest(digest, part.state_dict())
    elif isinstance(part, np.ndarray):
        if part.dtype.hasobject:
            raise TypeError("A fingerprint is of arrays of numbers or text, not of objects.")
        note(f"array {part.dtype} {part.shape}")
        rows = max(1, 2**24 // max(1, part[:1].nbytes)) if part.ndim else 1
        # In pieces: an array mapped from a file may be larger than the memory.
        for start in range(0, len(part), rows) if part.ndim else ():
            digest.update(part[start : start + rows].tobytes())
        if not part.ndim:
            digest.update(part.tobytes())
    elif isinstance(part, Mapping):
        note(f"mapping {len(part)}")
        for key in sorted(part, key=str):
            note(str(key))
            _digest(digest, part[key])
    elif isinstance(part, Sequence) and not isinstance(part, str | bytes):
        note(f"sequence {len(part)}")
        for each in part:
            _digest(digest, each)
    elif part is None or isinstance(part, bool | int | float | str | bytes | Path):
        note(f"{type(part).__name__} {part!r}")
    else:
        raise TypeError(
            f"A fingerprint is of tensors, arrays, modules and plain values, not of a {type(part).__name__}."
        )
