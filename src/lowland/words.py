"""Makes text of users, such as names of classes and files, safe to show in messages, plots and pages."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 48
"""Longest name in a plot or table, in characters. A longer one loses its middle."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$:])")


def escaped(text: str) -> str:
    r"""The text in one line: line breaks, control characters and invalid bytes become backslash escapes.

    >>> escaped("a\x1b[2Jb\udce9")
    'a\\x1b[2Jb\\udce9'
    """
    return "".join(
        letter
        # A joiner holds one emoji together.
        if letter.isprintable() or letter in "\u200c\u200d" or unicodedata.category(letter) == "Zs"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def printable(text: str, longest: int = LONGEST) -> str:
    r"""The text in one line of printable characters: others, such as control characters, become �.

    Args:
        text: any text.
        longest: a longer text loses its middle; 0 for no limit.

    >>> printable("a\tb\x1b[31m")
    'a b�[31m'
    >>> printable("abcdefgh", longest=5)
    'ab…gh'
    """
    line = "".join(letter if letter.isprintable() else "�" for letter in re.sub(r"\s", " ", text))
    if longest and len(line) > longest:
        tail = (longest - 1) // 2
        line = line[: longest - 1 - tail] + "…" + line[len(line) - tail :]
    return line


def plotted(text: str, longest: int = LONGEST) -> str:
    r"""The text escaped for matplotlib: $ starts no formula, and a leading underscore hides no label.

    >>> plotted("US$ to $x$"), plotted("_x")
    ('US\\$ to \\$x\\$', ' _x')
    """
    line = printable(text, longest).replace("$", r"\$")
    # Matplotlib leaves labels that begin with an underscore out of legends.
    return f" {line}" if line.startswith("_") else line


def verbatim(text: str, longest: int = LONGEST) -> str:
    r"""The text escaped for Markdown.

    >>> verbatim("*a* | <b>")
    '\\*a\\* \\| \\<b\\>'
    """
    return _MARKDOWN.sub(r"\\\1", printable(text, longest))
