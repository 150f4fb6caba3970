"""`lowland check FILE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from lowland.cli.command import Command
from lowland.cli.errors import FAILURE


@dataclass(frozen=True)
class Check(Command):
    """Run the conformance tests on energies, solvers or shapings of your own."""

    plugin: Annotated[Positional[str], arg(metavar="FILE")]
    """File that registers them; a folder, or a module by name, does as well."""
    only: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: all)")] = None
    """Only the class of this name."""

    def run(self) -> int:
        from lowland.conformance.check import check

        return 0 if check(self.plugin, self.only) else FAILURE
