"""The results of a run on the disk, which are a list and so have their checksum elsewhere: in its status."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from lowland.checksums import read_json
from lowland.errors import CheckpointError

FIELDS = ("id", "claim", "method", "published", "measured", "sd", "seeds", "data")
"""The keys of a row of `results.json`."""


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_results(folder: Path) -> list[dict[str, Any]]:
    """The rows of `results.json`.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    path = folder / "results.json"
    rows = read_json(path, list)
    status = read_json(folder / "status.json", keys=("status",))
    if status.get("results", wanted := digest(path)) != wanted:
        raise CheckpointError(f"{path} is damaged: it is not what the run wrote. Resume the run to write it again.")
    return rows
