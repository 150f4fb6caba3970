"""What the user is told when a command fails: one sentence, never a traceback.

A mistake of the user ends in exit code 2, any other failure in 1, and Ctrl-C in 130.
"""

from __future__ import annotations

import errno
import os
import tempfile
import traceback

from lowland.errors import LowlandError, OptionError
from lowland.terminal import say

USAGE, FAILURE, INTERRUPTED = 2, 1, 130
LONGEST = 2000
"""Letters of a sentence on the terminal. A longer one, which quotes the user, loses its middle."""
_TOO_LARGE = ("can't allocate memory", "out of memory", "OutOfMemoryError")
"""What torch says where Python raises a MemoryError."""


class Stopped(Exception):
    """A run failed, but finished stages are kept: `command` resumes it. The error itself is `__cause__`."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


def explain(error: BaseException) -> int:
    """Say on standard error why a command failed; returns the exit code."""
    command = ""
    if isinstance(error, Stopped) and error.__cause__ is not None:
        error, command = error.__cause__, error.command
    sentence = _sentence(error)
    if len(sentence) > LONGEST:
        sentence = f"{sentence[: LONGEST // 2]} … {sentence[-LONGEST // 2 :]}"
    say(f"lowland: {sentence}", aside=True)
    if command:
        say(f"Finished stages are kept. Go on with: {command}", aside=True)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return USAGE if isinstance(error, OptionError) else FAILURE


def _sentence(error: BaseException) -> str:
    if isinstance(error, LowlandError):
        return f"{error}"
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    if isinstance(error, OSError):
        return _refusal(error)
    if isinstance(error, UnicodeEncodeError):
        part = error.object[max(0, error.start - 40) : error.end + 40]
        return f"{part!r} is not text in {error.encoding}: rename the file or folder of that name."
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, MemoryError) or any(words in what for words in _TOO_LARGE):
        return f"This machine has too little memory: choose smaller options or less data ({what[:200]})."
    return f"{what}. This is a bug of Lowland: please report it with {_keep(error)}."


def _refusal(error: OSError) -> str:
    """Why the operating system refused, and what the user can do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full: free some space. What was written before is intact."
    reason = error.strerror or str(error) or type(error).__name__
    if "temporary directory" in reason:
        return f"{reason}: set TMPDIR to a folder that can be written."
    if error.filename is None:
        return f"The system refused: {reason}."
    return f"{os.fsdecode(error.filename)} cannot be used: {reason}. Choose another folder."


def _keep(error: BaseException) -> str:
    """Write the traceback to a temporary file; returns its name."""
    try:
        handle, name = tempfile.mkstemp(prefix="lowland-error-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return "what the same command shows with --debug"
    return name
