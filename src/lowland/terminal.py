"""Output to the terminal: control characters are escaped, tables fit its width, and any encoding works.

File names come from others, and may contain anything but a slash and a zero byte.
"""

from __future__ import annotations

import io
import logging
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lowland.words import escaped

WIDE = 160
"""Width of a table in characters where the output is not a terminal."""


def shell(words: Iterable[str]) -> str:
    r"""Words as one quoted line for the shell. Unprintable names become byte escapes, which bash and zsh read.

    >>> print(shell(["lowland", "report", "my runs"]), shell(["caf\udce9"]))
    lowland report 'my runs' $'caf\xe9'
    """
    return " ".join(shlex.quote(word) if escaped(word) == word else f"$'{_bytes(word)}'" for word in words)


def _bytes(word: str) -> str:
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in word.encode("utf-8", "surrogateescape")
    )


def prepare() -> None:
    """Escape letters that the terminal's encoding lacks, and control characters in the library's warnings."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Warning())


class _Warning(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"lowland: {escaped(record.getMessage())}"


def say(*lines: Any, aside: bool = False) -> None:
    """Print escaped lines to standard output, or to standard error if `aside`."""
    for line in lines:
        print(escaped(str(line)), file=sys.stderr if aside else sys.stdout)


def table(columns: Mapping[str, int | None], lines: Iterable[Sequence[str]]) -> None:
    """Print a table that fits the terminal.

    Args:
        columns: the maximal width of each column by its heading; None for no limit.
        lines: rows, with one cell for each column.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    for index, (column, most) in enumerate(columns.items()):
        drawn.add_column(
            column, style="bold" if index == 0 else "", no_wrap=index == 0, overflow="fold", max_width=most
        )
    for line in lines:
        drawn.add_row(*map(escaped, line))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    console.print(drawn)
