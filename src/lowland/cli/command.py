"""What a command is."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from lowland.cli.parse import parse
from lowland.errors import CheckpointError, nearest


@dataclass(frozen=True)
class Command:
    """A command: a frozen dataclass whose fields are the arguments.

    `--help` shows the docstring, and the text below each field. `lowland --help` shows the first line.
    """

    def run(self) -> int:
        """Run the command and return its exit code. Raise an OptionError for a mistake of the user."""
        raise NotImplementedError

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        """Build the command from its arguments.

        Args:
            words: the arguments.
            prog: what stands before them on the command line, such as "lowland list".

        Raises:
            OptionError: for arguments that the command does not take.
            SystemExit: after `--help`.
        """
        return parse(cls, words, prog)


@dataclass(frozen=True)
class RunsCommand(Command):
    """A command that reads or writes runs."""

    runs: Path = field(default_factory=lambda: Path(os.environ.get("LOWLAND_RUNS", "runs")), kw_only=True)
    """Folder that holds all runs."""

    def find(self, given: str) -> Path:
        """The folder of a run, given as that folder or as the name of a recipe (its newest run).

        Raises:
            CheckpointError: if there is no such run.
        """
        path = Path(given)
        for folder in (path, path / "latest", self.runs / given / "latest"):
            if given and (folder / "config.json").is_file():
                return folder
        if path.is_dir() and "/" in given:
            return path
        known = [latest.parent.name for latest in self.runs.glob("*/latest")]
        raise CheckpointError(
            f"There is no run {given!r}, neither as a folder nor in {self.runs}. {nearest(given, known)}"
        )
