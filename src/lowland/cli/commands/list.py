"""`lowland list`."""

from __future__ import annotations

from dataclasses import dataclass

from lowland.cli.command import RunsCommand
from lowland.terminal import table


@dataclass(frozen=True)
class List(RunsCommand):
    """Show every recipe, with the systems that it serves and the minutes that it takes."""

    rows: bool = False
    """Show every system instead, with its recipe and its figures."""

    def run(self) -> int:
        from lowland.recipes.catalogue import catalogue
        from lowland.recipes.overview import overview

        if self.rows:
            lines = [
                (line.row.id, line.row.title, ", ".join(line.recipes) or "not yet", line.published, line.measured)
                for line in overview(self.runs)
            ]
            table({"id": None, "system": None, "recipe": 18, "published": None, "measured here": None}, lines)
            return 0
        entries = catalogue().values()
        lines = [(entry.name, entry.shows, " ".join(entry.rows), f"{entry.minutes:g}") for entry in entries]
        table({"recipe": None, "shows": None, "rows": 14, "minutes": None}, lines)
        return 0
