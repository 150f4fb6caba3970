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
        from lowland.recipes.overview import NOT_YET, overview

        if self.rows:
            lines = [
                (
                    line.system.id,
                    line.system.title,
                    ", ".join(line.recipes) or NOT_YET,
                    line.published,
                    line.recorded,
                    line.measured,
                )
                for line in overview(self.runs)
            ]
            table({"id": None, "system": None, "recipe": 18, "published": None, "on record": None, "here": None}, lines)
            return 0
        entries = [(entry.name, entry.head) for entry in catalogue().values()]
        lines = [(name, head.shows, " ".join(head.systems), f"{head.minutes:g}") for name, head in entries]
        table({"recipe": None, "shows": None, "systems": 14, "minutes": None}, lines)
        return 0
