"""Words of users, such as names of classes and files, made safe for where they are shown: pictures, pages, messages."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 48
"""Characters that a name may have in a picture or a table; of a longer one the middle is left out."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$:])")


def escaped(text: str) -> str:
    r"""Text of one line, in which line breaks, escape sequences and bytes that are no text stand as backslashes.

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
    r"""One line of characters that can be shown: others, such as escape sequences and lone surrogates, become �.

    Args:
        text: as a user wrote it.
        longest: of a longer text the middle is left out; 0 for no limit.

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
    r"""The words as matplotlib draws them letter by letter: no mathematics between $, none lost for its underscore.

    >>> plotted("US$ to $x$"), plotted("_x")
    ('US\\$ to \\$x\\$', ' _x')
    """
    line = printable(text, longest).replace("$", r"\$")
    # Matplotlib leaves labels that begin with an underscore out of legends.
    return f" {line}" if line.startswith("_") else line


def verbatim(text: str, longest: int = LONGEST) -> str:
    r"""The words as Markdown that shows them letter by letter.

    >>> verbatim("*a* | <b>")
    '\\*a\\* \\| \\<b\\>'
    """
    return _MARKDOWN.sub(r"\\\1", printable(text, longest))
