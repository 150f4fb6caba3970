"""Atomic writes, safe reads, and fingerprints of files and values.

Lowland writes with `replacing` or `appearing`: if the process is killed or the disk is full, either the old file or the
new one is there, complete. It reads through `regular`, because opening a named pipe would block for ever. Its own files
also have checksums: see `checksums`.
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
    """Context: write to the file that it yields, which replaces `path` if the block ends without an exception.

    The file is written under a temporary name in the same folder, synced to disk and renamed.

    Args:
        path: the file to replace; missing folders are created.
        error: raised if the disk is full or a permission is missing. The old file is then intact.
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
    """Context: fill the folder that it yields, which becomes `path` if the block ends without an exception.

    Args:
        path: must not exist, or be an empty folder; missing parents are created.
        error: raised if the disk is full or a permission is missing.

    Raises:
        FileExistsError: if something is there already, or appears while the folder is filled.
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
    """The temporary name, in the same folder, under which this process writes a file or folder. `sweep` knows it."""
    # Not tempfile, whose files only their owner may read: others should be able to read a report.
    name = f".{path.name or 'here'}.{os.getpid()}.tmp"
    return path.with_name(name) if path.name else path / name


def sweep(folder: Path, deep: bool = True) -> None:
    """Delete half-written files of killed processes from a folder, and from its subfolders if `deep`."""
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
    """Sync the entries of a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes, error: type[LowlandError] = CheckpointError) -> None:
    """Replace a file atomically. A full disk or a missing permission raises `error` and leaves the old file."""
    with replacing(path, error) as file:
        file.write(content)


def regular(path: Path, error: type[LowlandError] = DataError) -> Path:
    """The path, if it is a regular file.

    Raises:
        LowlandError: of type `error`, if it is missing, a folder, a named pipe, a socket or a device.
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
    """The SHA-256 of a file, or of the names and contents of all files in a folder that are not hidden.

    Raises:
        DataError: if something cannot be read.
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
    """The SHA-256 of the content of values, as 64 hexadecimal digits: equal content gives equal fingerprints.

    Args:
        parts: tensors, arrays, modules (class, printed settings and weights), numbers, text, paths, and lists and
            dictionaries of them. The order of keys does not matter; dtype and shape do.

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
    # Imported here, so that commands that only read a file start without torch.
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
        # In pieces: an array mapped from a file may be larger than memory.
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
