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


def read_values(folder: Path) -> dict[str, Any]:
    """What a run measured, noted and drew, from `values.json`: results, shown, elements, stand_ins and seconds.

    Raises:
        CheckpointError: if the file is missing, damaged or foreign.
    """
    path = folder / "values.json"
    values = read_json(path, keys=("results", "shown", "elements", "stand_ins", "seconds"))
    rows, elements = values["results"], values["elements"]
    if not (
        isinstance(rows, dict)
        and all(isinstance(row, dict) and all(map(_is_held, row.values())) for row in rows.values())
        and isinstance(values["shown"], dict)
        and isinstance(elements, list)
        and all(isinstance(one, dict) and isinstance(one.get("kind"), str) for one in elements)
        and isinstance(values["stand_ins"], list)
        and isinstance(values["seconds"], (int, float))
    ):
        raise CheckpointError(f"{path} was not written by Lowland, or is damaged: the page cannot be written from it.")
    return values


def _is_held(value: Any) -> bool:
    """Whether it is what `Results` holds: a number for each seed, or a summary."""
    if isinstance(value, dict):
        return set(value) == {"mean", "sd", "seeds"} and all(map(_is_number, value.values()))
    return isinstance(value, list) and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float))


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
