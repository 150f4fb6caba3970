"""What reaches the terminal: names are shown and never obeyed, tables fit, and letters that it lacks are escaped.

Whoever sends a folder of pictures chooses their names, and a name may hold anything but a slash and a zero byte.
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
"""Columns of a table that is not written to a terminal."""


def shell(words: Iterable[str]) -> str:
    r"""Words as one line for the shell: a name that cannot be shown is written as bytes, which bash and zsh read.

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
    """Let a terminal of any encoding take any letter, and the warnings of the library keep to `escaped`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Warning())


class _Warning(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"lowland: {escaped(record.getMessage())}"


def say(*lines: Any, aside: bool = False) -> None:
    """Print lines to standard output, or to standard error if they are an aside."""
    for line in lines:
        print(escaped(str(line)), file=sys.stderr if aside else sys.stdout)


def table(columns: Mapping[str, int | None], lines: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal.

    Args:
        columns: headings, each with the most letters of its column, or None for as many as there is room for.
        lines: a cell for each column.
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
