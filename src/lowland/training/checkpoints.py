"""Checkpoints: one safetensors file; its header holds everything that is not a tensor as JSON. No pickle anywhere.

A run that is killed leaves either the old file or the new one, never half of one. A checksum reveals a damaged file.
"""

from __future__ import annotations

import enum
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from torch import Tensor

from lowland.checksums import read_tensors, write_tensors
from lowland.errors import CheckpointError
from lowland.version import __version__

_FORMAT = "lowland"
_LAYOUT = "1"
_log = logging.getLogger(__name__)


def _flatten(node: Any, tensors: dict[str, Tensor], where: str) -> Any:
    """A tree of plain values as JSON; each tensor goes into `tensors` and is replaced by a reference."""
    if node is None or (isinstance(node, bool | int | float | str) and not isinstance(node, enum.Enum)):
        return node
    if isinstance(node, Tensor):
        tensors[where] = node.detach().to("cpu", copy=True).contiguous()
        return {"$": "tensor", "of": where}
    if isinstance(node, Mapping):
        if all(isinstance(key, str) for key in node) and "$" not in node:
            return {key: _flatten(part, tensors, f"{where}/{key}") for key, part in node.items()}
        pairs = [[_flatten(k, tensors, where), _flatten(v, tensors, f"{where}/{k}")] for k, v in node.items()]
        return {"$": "dict", "of": pairs}
    if isinstance(node, list | tuple):
        parts = [_flatten(part, tensors, f"{where}/{number}") for number, part in enumerate(node)]
        return parts if isinstance(node, list) else {"$": "tuple", "of": parts}
    raise CheckpointError(
        f"A checkpoint holds tensors, numbers, text, lists and dictionaries, but {where} is a {type(node).__name__}."
    )


def _restore(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_restore(part, tensors) for part in node]
    if not isinstance(node, dict):
        return node
    if "$" not in node:
        return {key: _restore(part, tensors) for key, part in node.items()}
    kind, content = node["$"], node["of"]
    if kind == "tensor":
        return tensors[content]
    parts = _restore(content, tensors)
    return tuple(parts) if kind == "tuple" else dict(parts)


def write_checkpoint(tree: Mapping[str, Any], path: Path) -> None:
    """Write a tree of tensors and plain values as one file.

    Raises:
        CheckpointError: if the disk is full, the folder cannot be written, or the tree holds something else.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _flatten(dict(tree), tensors, "")
    header = {"format": _FORMAT, "layout": _LAYOUT, "lowland": __version__, "torch": str(torch.__version__)}
    write_tensors(path, tensors, header | {"tree": json.dumps(skeleton)})


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The tree that `write_checkpoint` wrote.

    Raises:
        CheckpointError: if the file is missing, truncated, corrupt, or not a checkpoint of Lowland.
    """
    if not path.exists():
        raise CheckpointError(f"There is no checkpoint {path}.")
    tensors, header = read_tensors(path)
    if header.get("format") != _FORMAT or "tree" not in header:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of Lowland.")
    if header.get("layout") != _LAYOUT:
        raise CheckpointError(
            f"{path} was written by Lowland {header.get('lowland')}, in a layout unknown to this version."
        )
    try:
        return _restore(json.loads(header["tree"]), tensors)
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint ({error}). Delete it or name another.") from error


class SafetensorsIO(CheckpointIO):
    """`Trainer(plugins=[SafetensorsIO()])` makes a user's own Trainer write safetensors files instead of pickles."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


class Checkpoints:
    """The checkpoints of one run: `step-NNN.safetensors`, of which the newest `keep` are kept.

    Args:
        folder: of the files.
        keep: how many; at least two, so that a run survives one damaged file.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def path(self, step: int) -> Path:
        """Path of the checkpoint after that many steps."""
        return self.folder / f"step-{step:09d}.safetensors"

    def all(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)

    def tidy(self) -> None:
        """Delete all but the newest checkpoints, and unfinished files of a killed process."""
        for old in [*self.all()[self.keep :], *self.folder.glob(".step-*.tmp")]:
            old.unlink(missing_ok=True)

    def latest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint that can be read, or None if there is none. Damaged newer ones are logged as warnings.

        Raises:
            CheckpointError: if there are checkpoints and all are damaged.
        """
        failures: list[CheckpointError] = []
        for path in self.all():
            try:
                return path, read_checkpoint(path)
            except CheckpointError as error:
                _log.warning("%s Trying the one before it.", error)
                failures.append(error)
        if failures:
            raise CheckpointError(f"No checkpoint in {self.folder} can be read. The newest: {failures[0]}")
        return None
