"""Files of a run that are whole or absent: each is written to a temporary name, flushed to the disk and renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowland.errors import CheckpointError, UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor

_TENSOR, _ARRAY = "$tensor", "$array"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that whoever looks at any moment sees the old one or the new one, never a part.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes(Path(folder) / "a", b"whole")
    ...     (Path(folder) / "a").read_bytes()
    b'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        # After a full disk the part must not take up what little is left; removing it may fail as well.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """A value as indented JSON; floating-point numbers come back as the same bits."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        CheckpointError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}: this is not a run of Lowland, or it was cut short.") from None
    except (ValueError, UnicodeDecodeError):
        raise CheckpointError(f"{path} is corrupt: it does not hold JSON. Delete the run and start it again.") from None


def save(path: Path, value: Any, name: str) -> None:
    """Store a result under `path`.json, its tensors and arrays under `path`.safetensors. The JSON is written last.

    Args:
        value: numbers, text, None, tensors, NumPy arrays, and lists and dictionaries of them. A tuple comes back as a
            list.
        name: what the value is called in an error.

    Raises:
        UnsupportedError: for a value of another type.
    """
    from safetensors.torch import save as pack

    tensors: dict[str, Tensor] = {}
    tree = _encode(value, tensors, name)
    digest = ""
    if tensors:
        content = pack(tensors)
        digest = hashlib.sha256(content).hexdigest()
        write_bytes(path.with_name(path.name + ".safetensors"), content)
    write_json(path.with_name(path.name + ".json"), {"value": tree, "tensors": digest})


def load(path: Path) -> Any:
    """What `save` stored.

    Raises:
        CheckpointError: if it is incomplete, or the tensors are not those that were stored.
    """
    from safetensors.torch import load as unpack

    stored = read_json(path.with_name(path.name + ".json"))
    if not isinstance(stored, dict) or set(stored) != {"value", "tensors"}:
        raise CheckpointError(f"{path}.json is not a stored result of Lowland. Delete it to compute the stage again.")
    tensors: dict[str, Tensor] = {}
    if stored["tensors"]:
        file = path.with_name(path.name + ".safetensors")
        if not file.is_file():
            raise CheckpointError(f"{file} is missing. Delete {path}.json to compute the stage again.")
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != stored["tensors"]:
            raise CheckpointError(
                f"{file} is corrupt: its SHA-256 is wrong. Delete {path}.json to compute the stage again."
            )
        tensors = unpack(content)
    return _decode(stored["value"], tensors)


def _encode(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    import numpy as np
    import torch

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (torch.Tensor, np.ndarray)):
        key = str(len(tensors))
        kind = _TENSOR if isinstance(value, torch.Tensor) else _ARRAY
        # A copy, because safetensors refuses tensors that share memory.
        tensors[key] = torch.as_tensor(value).detach().cpu().clone().contiguous()
        return {kind: key}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _encode(part, tensors, name) for key, part in value.items()}
    if isinstance(value, Sequence):
        return [_encode(part, tensors, name) for part in value]
    raise UnsupportedError(
        f"{name} gave a {type(value).__name__}, which cannot be stored for a resume. Return numbers, text, tensors, or "
        "lists and dictionaries of them."
    )


def _decode(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_decode(part, tensors) for part in tree]
    if isinstance(tree, dict):
        if set(tree) == {_TENSOR}:
            return tensors[tree[_TENSOR]]
        if set(tree) == {_ARRAY}:
            return tensors[tree[_ARRAY]].numpy()
        return {key: _decode(part, tensors) for key, part in tree.items()}
    return tree
