"""`lowland record RUN`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from lowland.cli.command import RunsCommand
from lowland.terminal import say


@dataclass(frozen=True)
class Record(RunsCommand):
    """Put the figures of a finished run on record, in record.json beside the page of its recipe.

    A preset other than cpu has a record of its own, record-PRESET.json.

    `lowland list --rows`, the documentation and the recipe's page then show them; `lowland verify` repeats the run.
    """

    name: Annotated[Positional[str], arg(metavar="RUN")]
    """Folder of a run, or name of a recipe for its newest run."""
    note: str | None = None
    """What a reader must know about the run. By default the note of the earlier record is kept."""

    def run(self) -> int:
        folder = self.find(self.name)
        from lowland.recipes.record import write_record

        say(write_record(folder, self.note))
        return 0
