"""Files: written as a whole or not at all, read only where they are files, and known by their content.

Whatever Lowland writes for a user goes through `replacing`: a process that is killed, or a disk that is full, leaves
the old file or the new one. Whatever it reads goes through `regular`, since opening a named pipe waits for ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor, nn

from lowland.errors import CheckpointError, DataError, LowlandError

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


def write_atomically(path: Path, content: bytes, error: type[LowlandError] = CheckpointError) -> None:
    """Replace a file as a whole; a full disk or a missing permission raises `error` and leaves the old file."""
    with replacing(path, error) as file:
        file.write(content)


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


def fingerprint(*parts: Any) -> str:
    """The SHA-256 of the content of values, as 64 hexadecimal digits: equal for equal content, wherever it lies.

    Args:
        parts: tensors, arrays, modules (their class, settings as printed, and weights), numbers, text, paths, and lists
            and dictionaries of them. The order of keys does not matter; dtype and shape do.

    >>> fingerprint({"a": 1, "b": [2.0]}) == fingerprint({"b": [2.0], "a": 1})
    True
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
