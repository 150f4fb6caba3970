"""Files with a checksum of themselves, so that a flipped bit anywhere is an error and not a number: JSON, safetensors.

The checksum is the SHA-256 of the whole file, in which the place of the checksum counts as zeros. It stands where the
format has room for it, such as among the metadata of safetensors, so that other programs read the files as ever.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowland.errors import CheckpointError, LowlandError
from lowland.files import regular, replacing, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)

CHECKSUM = "lowland_checksum"
BLANK = "lowland_sha256:" + 64 * "0"
"""What stands for the checksum in a file before `sealed` puts it there. Its name and its kind are two marks, of which a
flipped bit leaves one: a file without either was written by an earlier version, or by another program."""
_SEAL = re.compile(rb"lowland_sha256:([0-9a-f]{64})")
_LARGEST_HEADER = 100_000_000
"""Bytes; safetensors reads no more."""


def sealed(content: bytes, more: bytes | memoryview = b"") -> bytes:
    """The content of a file with its checksum in the place of `BLANK`: the SHA-256 of all of it with `BLANK` there.

    Args:
        content: up to any byte behind the `BLANK`.
        more: the rest of the file, which is not returned.
    """
    digest = hashlib.sha256(content)
    digest.update(more)
    return content.replace(BLANK.encode(), BLANK[:-64].encode() + digest.hexdigest().encode(), 1)


def check_seal(
    name: object, content: bytes, more: Iterable[bytes] = (), error: type[LowlandError] = CheckpointError
) -> None:
    """Raise `error` if a file is not what `sealed` made of it. One that has no checksum passes, with a note in the log.

    Args:
        name: of the file, for the sentence.
        content, more: as in `sealed`.

    >>> whole = sealed(f'{{"a": 1, "{CHECKSUM}": "{BLANK}"}}'.encode())
    >>> check_seal("a", whole)
    >>> check_seal("a", whole.replace(b"1", b"3", 1))
    Traceback (most recent call last):
    lowland.errors.CheckpointError: a is damaged: its content does not fit its checksum. Make it again, or restore it.
    """
    found = _SEAL.search(content)
    if found is None and CHECKSUM.encode() not in content:
        _log.info("%s has no checksum: an earlier version of Lowland or another program wrote it.", name)
        return
    if found is not None:
        digest = hashlib.sha256(content[: found.start(1)] + 64 * b"0" + content[found.end(1) :])
        for piece in more:
            digest.update(piece)
        if digest.hexdigest() == found[1].decode():
            return
    raise error(f"{name} is damaged: its content does not fit its checksum. Make it again, or restore it.")


def write_json(path: Path, value: Any) -> None:
    """A value as indented JSON; floating-point numbers come back as the same bits. An object gets a checksum.

    Raises:
        CheckpointError: if it cannot be written.
    """
    whole = {**value, CHECKSUM: BLANK} if isinstance(value, Mapping) else value
    # A name of a file that is not UTF-8 has half of a surrogate pair, which JSON can escape.
    content = (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    write_atomically(path, sealed(content))


def read_json(path: Path, kind: type = dict, keys: tuple[str, ...] = ()) -> Any:
    """The value of a JSON file, without its checksum: an object with at least those keys, or a list.

    Raises:
        CheckpointError: if the file is missing, damaged, is not JSON, or holds something else.
    """
    if not path.exists():
        raise CheckpointError(f"There is no file {path}: this is not a run of Lowland, or it was cut short.")
    content = regular(path, CheckpointError).read_bytes()
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} is corrupt: it does not hold JSON. Delete the run and start it again.") from None
    if isinstance(value, dict):
        check_seal(path, content)
        value.pop(CHECKSUM, None)
    if not isinstance(value, kind) or not all(key in value for key in keys):
        raise CheckpointError(f"{path} was not written by Lowland: it lacks what a run keeps there.")
    return value


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file with a checksum. Equal tensors and metadata give equal bytes, in whatever order.

    Args:
        tensors: contiguous, on the CPU, none of them sharing memory with another.
        metadata: text by name, for the header.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    from safetensors.torch import save  # brings torch, which a list of results can do without

    content = memoryview(save(dict(tensors)))
    start = 8 + int.from_bytes(content[:8], "little")
    places = {name: place for name, place in json.loads(bytes(content[8:start])).items() if name != "__metadata__"}
    # safetensors itself writes the header in an order that changes from call to call.
    header = {"__metadata__": dict(sorted({**metadata, CHECKSUM: BLANK}.items()))} | dict(
        sorted(places.items(), key=lambda item: (item[1]["data_offsets"], item[0]))
    )
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(sealed(len(text).to_bytes(8, "little") + text, content[start:]))
        file.write(content[start:])


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file, whose checksum has been found right if it has one.

    Raises:
        CheckpointError: if the file is missing, damaged or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with regular(path, CheckpointError).open("rb") as file:
            size = file.read(8)
            header = file.read(min(int.from_bytes(size, "little"), _LARGEST_HEADER))
            check_seal(path, size + header, iter(lambda: file.read(2**20), b""))
            # safetensors takes no name that is not UTF-8.
            place = path if _is_text(path) else f"/dev/fd/{file.fileno()}"
            with safe_open(place, framework="pt") as whole:
                metadata = whole.metadata() or {}
                tensors = {name: whole.get_tensor(name) for name in whole.keys()}  # noqa: SIM118  not a dictionary
    except (OSError, ValueError, SafetensorError) as error:
        if isinstance(error, LowlandError):
            raise
        raise CheckpointError(f"{path} is damaged, or no safetensors file: {' '.join(str(error).split())}.") from error
    metadata.pop(CHECKSUM, None)
    return tensors, metadata


def _is_text(path: Path) -> bool:
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False
