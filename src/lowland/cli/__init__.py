"""The command line: `lowland COMMAND`, with one file for each command in `commands/`.

A new command is a new file there: a `Command` (see `command.py`) that bears the file's name, capitalised. Nothing heavy
is imported before a command runs, so that `lowland --help` and `lowland list` answer at once.
"""

from __future__ import annotations

from lowland.cli.entry import main
from lowland.cli.errors import FAILURE, INTERRUPTED, LONGEST, USAGE

__all__ = ["FAILURE", "INTERRUPTED", "LONGEST", "USAGE", "main"]
