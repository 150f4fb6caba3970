"""JSON files of a run: whole or absent, and with a clear error where they are neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lowland.errors import CheckpointError
from lowland.files import write_atomically


def write_json(path: Path, value: Any) -> None:
    """A value as indented JSON; floating-point numbers come back as the same bits."""
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path, kind: type = dict, keys: tuple[str, ...] = ()) -> Any:
    """The value of a JSON file: an object with at least those keys, or a list.

    Raises:
        CheckpointError: if the file is missing, is not JSON, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}: this is not a run of Lowland, or it was cut short.") from None
    except ValueError:
        raise CheckpointError(f"{path} is corrupt: it does not hold JSON. Delete the run and start it again.") from None
    if not isinstance(value, kind) or not all(key in value for key in keys):
        raise CheckpointError(f"{path} was not written by Lowland: it lacks what a run keeps there.")
    return value
