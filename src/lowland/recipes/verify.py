"""Run a recipe anew, as its record says, and compare."""

from __future__ import annotations

from pathlib import Path

from lowland.recipes.base import execute, load, start
from lowland.recipes.catalogue import USUAL
from lowland.recipes.record import Compared, compare, recorded


def verify(name: str, runs: Path, preset: str = USUAL) -> tuple[Path, list[Compared]]:
    """The folder of the new run, and every row of the record beside that of the run.

    Args:
        name: of the recipe.
        preset: whose record is verified.
        runs: folder of all runs.

    Raises:
        OptionError: if the recipe is unknown, or has no record.
        CheckpointError: if its record is damaged, or of another format or recipe.
    """
    record = recorded(name, preset)
    config = load(name).from_options(dict(record.options))
    run = execute(config, start(config, runs, record.preset))
    return run.folder, compare(record, run.results)
