"""What a command is."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from lowland.cli.parse import parse
from lowland.errors import CheckpointError, nearest


@dataclass(frozen=True)
class Command:
    """A command: a frozen dataclass whose fields are its arguments, with `run`.

    The docstring and the line below each field are what `--help` shows. The first line stands in `lowland --help`.
    """

    def run(self) -> int:
        """Do it, and return the exit code. A mistake of the user is raised as an OptionError."""
        raise NotImplementedError

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        """This command with the arguments that follow `prog`.

        Raises:
            OptionError: for arguments that it does not take.
            SystemExit: after showing the help that was asked for.
        """
        return parse(cls, words, prog)


@dataclass(frozen=True)
class RunsCommand(Command):
    """A command that reads or writes runs."""

    runs: Path = field(default_factory=lambda: Path(os.environ.get("LOWLAND_RUNS", "runs")), kw_only=True)
    """Folder that holds all runs."""

    def find(self, given: str) -> Path:
        """The folder of a run, which is given as a folder or as the name of a recipe, for its newest run.

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
