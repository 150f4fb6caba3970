"""`lowland verify NAME…`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from lowland.cli.command import RunsCommand
from lowland.errors import OptionError
from lowland.terminal import say


@dataclass(frozen=True)
class Verify(RunsCommand):
    """Run recipes again and compare every figure with the record.

    Two means agree within three standard errors of their difference, or within the tolerance that the page states.
    The exit code is 1 if a figure differs.
    """

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME...")]
    """Names of recipes that have figures on record."""
    preset: str = "cpu"
    """The preset whose record is verified."""

    def run(self) -> int:
        from lowland.recipes.record import recorded

        if not self.names:
            raise OptionError("`lowland verify` needs the name of a recipe. See `lowland verify --help`.")
        for name in self.names:
            recorded(name, self.preset)  # what cannot be verified shows before anything is computed
        from lowland.recipes.verify import verify

        differing = 0
        for name in self.names:
            folder, rows = verify(name, self.runs, self.preset)
            wrong = [row for row in rows if not row.agrees]
            differing += len(wrong)
            compared = sum(row.allowed is not None for row in rows)
            said = f"{compared - len(wrong)} of {compared} figures agree with the record"
            say(f"{name}: {said} ({folder / 'report.html'})")
            for row in rows:
                say(f"  {row.text}")
        return 1 if differing else 0
