"""The command line: `lowland COMMAND`, with one file for each command in `commands/`.

To add a command, add a file there with a `Command` (see `command.py`), as `verify.py` with `Verify`. No list names it.
Commands import heavy packages inside `run`, so that `lowland --help` and `lowland list` answer at once.
"""

from __future__ import annotations

from lowland.cli.entry import main
from lowland.cli.errors import FAILURE, INTERRUPTED, LONGEST, USAGE

__all__ = ["FAILURE", "INTERRUPTED", "LONGEST", "USAGE", "main"]
