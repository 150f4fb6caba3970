"""`lowland report RUN`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from lowland.cli.command import RunsCommand
from lowland.terminal import say


@dataclass(frozen=True)
class Report(RunsCommand):
    """Build the page of a run again, from the present page.md of its recipe, and show where it is.

    Nothing is computed.
    """

    name: Annotated[Positional[str], arg(metavar="RUN")]
    """Folder of a run, or name of a recipe for its newest run."""
    open: bool = False
    """Open the page in the browser."""

    def run(self) -> int:
        folder = self.find(self.name)
        from lowland.recipes.sweep import rewrite

        path = rewrite(folder)
        say(path)
        if self.open:
            import webbrowser

            webbrowser.open(path.resolve().as_uri())
        return 0
