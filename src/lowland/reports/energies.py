"""Energies kept by a run, so that `lowland export` can build them again."""

from __future__ import annotations

from pathlib import Path

import safetensors
from huggingface_hub.errors import HfHubHTTPError

from lowland.energies.base import Energy
from lowland.errors import CheckpointError, nearest
from lowland.registry import registered
from lowland.reports.store import read_json, write_json


def save_energy(folder: Path, energy: Energy) -> None:
    """Write the class, configuration and weights of an energy into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    energy.save_pretrained(folder)
    write_json(folder / "energy.json", {"energy": type(energy).__name__})


def load_energy(folder: Path) -> Energy:
    """The energy that `save_energy` wrote.

    Raises:
        CheckpointError: if the folder holds no energy, one of an unknown class, or corrupt weights.
    """
    stored = read_json(folder / "energy.json")
    known = registered("energy")
    name = stored.get("energy") if isinstance(stored, dict) else None
    if name not in known:
        raise CheckpointError(f"{folder} holds an energy of the unknown class {name!r}. {nearest(str(name), known)}")
    try:
        return known[name].from_pretrained(str(folder), local_files_only=True)
    except (OSError, RuntimeError, TypeError, safetensors.SafetensorError, HfHubHTTPError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{folder} does not hold a whole {name}: {reason}") from None
