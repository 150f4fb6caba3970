"""JSON files of a run: whole or absent, and with a clear error where they are neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lowland.errors import CheckpointError
from lowland.training.checkpoints import write_atomically


def write_json(path: Path, value: Any) -> None:
    """A value as indented JSON; floating-point numbers come back as the same bits."""
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        CheckpointError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}: this is not a run of Lowland, or it was cut short.") from None
    except ValueError:
        raise CheckpointError(f"{path} is corrupt: it does not hold JSON. Delete the run and start it again.") from None
