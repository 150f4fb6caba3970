"""Files: written as a whole or not at all, read only where they are files, and known by their content.

Whatever Lowland writes for a user goes through `replacing` or `appearing`: a process that is killed, or a disk that is
full, leaves the old file or the new one. Whatever it reads goes through `regular`, since opening a named pipe waits for
ever. What it reads back itself has a checksum besides: see `checksums`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
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
_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")


@contextlib.contextmanager
def replacing(path: Path, error: type[LowlandError] = CheckpointError) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` when the block ends without an exception.

    It is written under a temporary name in its own folder, forced to the disk and renamed.

    Args:
        path: what is replaced; missing folders are made.
        error: raised where the disk is full or a permission is missing. The old file is then intact.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105  the call that is atomic, and that tests replace
        _force(path.parent)
    except BaseException as failure:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(failure, OSError) or isinstance(failure, LowlandError):
            raise
        raise error(
            f"{path} could not be written: {failure.strerror or failure}. Earlier files are intact; free "
            "some space or choose another folder, then resume."
        ) from failure


@contextlib.contextmanager
def appearing(path: Path, error: type[LowlandError] = CheckpointError) -> Iterator[Path]:
    """A folder to fill, which appears as `path` when the block ends without an exception: whole or not at all.

    Args:
        path: it must not exist, or be an empty folder; missing parents are made.
        error: raised where the disk is full or a permission is missing.

    Raises:
        FileExistsError: if something is there already, also when it came while the folder was filled.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(f"{path} is there already.")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        temporary.rename(path)
        _force(path.parent)
    except BaseException as failure:
        shutil.rmtree(temporary, ignore_errors=True)
        if not isinstance(failure, OSError) or isinstance(failure, LowlandError | FileExistsError):
            raise
        if path.is_dir() and any(path.iterdir()):
            raise FileExistsError(f"{path} is there already.") from failure
        raise error(f"{path} could not be written: {failure.strerror or failure}.") from failure


def temporary_name(path: Path) -> Path:
    """The name beside a file or folder under which this process writes it, and by which `sweep` knows it."""
    # Not by tempfile, whose files only their owner may read: a report is there to be shown.
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def sweep(folder: Path, deep: bool = True) -> None:
    """Delete what processes that were killed left half written in a folder, and in those below it where `deep`."""
    for path in folder.rglob(".*.tmp") if deep else folder.glob(".*.tmp"):
        if (found := _TEMPORARY.fullmatch(path.name)) is None or _runs(int(found[1])):
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def _force(folder: Path) -> None:
    """Write what stands in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def contents(path: Path) -> str:
    """The SHA-256 of a file, or of the names and contents of all files in a folder, hidden ones left out.

    Raises:
        DataError: for what cannot be read.
    """
    if path.is_dir():
        inside = (each for each in path.rglob("*") if not each.is_dir())
        names = sorted(each.relative_to(path).as_posix() for each in inside)
        shown = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
        return fingerprint({name: contents(path / name) for name in shown})
    digest = hashlib.sha256()
    try:
        with regular(path).open("rb") as file:
            while piece := file.read(2**20):
                digest.update(piece)
    except OSError as error:
        if isinstance(error, LowlandError):
            raise
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()


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
