"""`lowland run NAME`. Options that the command does not know belong to the recipe."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, Suppress, UseAppendAction, arg

from lowland.cli.command import Command, RunsCommand
from lowland.cli.errors import Stopped
from lowland.cli.parse import HELP, parse, parse_known
from lowland.errors import CheckpointError, LowlandError, OptionError, TrainingError
from lowland.terminal import say, shell

if TYPE_CHECKING:
    from lowland.recipes.base import Recipe


OWN = ("--preset", "--resume", "--runs", "--sweep", "--debug")
"""Options of `lowland run` itself."""


@dataclass(frozen=True)
class Run(RunsCommand):
    """Run a recipe and write its page.

    `lowland run NAME --help` shows the options of a recipe.
    """

    name: Annotated[Positional[str], arg(metavar="NAME")]
    """Name of the recipe, as in `lowland list`."""
    preset: Annotated[str | None, arg(metavar="PRESET", help_behavior_hint="(default: cpu)")] = None
    """smoke (seconds), cpu, gpu, or one of the recipe's own."""
    resume: Annotated[str | None, arg(metavar="RUN", help_behavior_hint="")] = None
    """Go on with an earlier run: its folder, or latest."""
    sweep: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="OPTION=A,B,...", help_behavior_hint="")] = ()
    """Run the recipe for several values of an option, on one page. Repeat it for every combination of several."""
    options: Suppress[tuple[str, ...]] = ()

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        if HELP & set(words):
            if words[0].startswith("-"):
                return parse(cls, words, prog)
            show_options(words[0], f"{prog} {words[0]}")
        asked, rest = parse_known(cls, words, prog)
        return dataclasses.replace(asked, options=tuple(rest))

    def run(self) -> int:
        from lowland.recipes import catalogue

        entry = catalogue.find(self.name)
        from lowland.recipes import base, sweep

        folder, default = self._start(base.load(entry.name))
        axes = self._axes(type(default), folder)
        if axes and folder is None:
            default = sweep.with_defaults(default, axes)
        config = parse(type(default), list(self.options), f"lowland run {entry.name}", default, also=OWN)
        if axes:
            run = sweep.start_sweep(config, axes, self.runs, self.preset or "cpu", folder)
        else:
            run = base.start(config, self.runs, self.preset or "cpu", folder)
        try:
            if axes:
                sweep.execute_sweep(config, axes, run)
            else:
                base.execute(config, run)
        except (OptionError, BrokenPipeError):
            # The run keeps its options, so resuming it would end at the same one.
            raise
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, TrainingError):
                say(run.folder / "report.html")
                raise  # the same training would fail at the same step
            if isinstance(error, LowlandError) and not any((run.folder / "stages").rglob("*.safetensors")):
                raise  # nothing is finished yet
            # A folder whose name begins with a dash would be read as an option.
            place = re.sub("^-", "./-", str(run.folder))
            raise Stopped(shell(["lowland", "run", entry.name, "--resume", place])) from error
        say(run.folder / "report.html", *run.made)
        return 0

    def _axes(self, recipe: type[Recipe], folder: Path | None) -> dict[str, list[Any]]:
        """The swept options with their values; those of the run, if one is resumed."""
        from lowland.recipes.sweep import parse_axes
        from lowland.reports.run import Run as Record

        asked = parse_axes(recipe, self.sweep)
        if folder is None:
            return asked
        earlier = Record.open(folder).axes
        if asked and asked != earlier:
            raise OptionError("A run is resumed with its own options: leave out --sweep, or start a new run.")
        return earlier

    def _start(self, recipe: type[Recipe]) -> tuple[Path | None, Recipe]:
        """The folder of the run to resume, or None, and the recipe with the options to start from."""
        from lowland.reports.run import Run as Record

        name = recipe.entry.name
        if self.resume is None:
            return None, recipe.preset(self.preset or "cpu")
        if self.preset is not None:
            raise OptionError("A run is resumed with its own options: leave out --preset, or start a new run.")
        folder = self.runs / name / "latest" if self.resume == "latest" else Path(self.resume)
        earlier = Record.open(folder)
        if earlier.config["recipe"] != name:
            raise CheckpointError(f"{folder} is a run of {earlier.config['recipe']}, not of {name}.")
        return folder, recipe.from_options(earlier.config["options"])


def show_options(name: str, prog: str) -> None:
    """Show the options of a recipe and exit.

    Raises:
        OptionError: if there is no such recipe.
        SystemExit: always.
    """
    from lowland.recipes import catalogue

    entry = catalogue.find(name)
    from lowland.recipes import base

    recipe = base.load(name)
    presets = "|".join(dict.fromkeys((*base.PRESETS, *recipe.presets)))
    shared = f"Also: --preset {presets}, --resume RUN|latest, --runs DIR, --debug."
    parse(recipe, ["--help"], prog, recipe(), f"{entry.head.shows} {shared}")
