"""Options given on the command line as NAME=VALUE."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from lowland.errors import OptionError


def read_options(words: Sequence[str]) -> dict[str, Any]:
    """Numbers, tuples of numbers, or text by name.

    Raises:
        OptionError: for a word without a name and a value, or two of one name.

    >>> read_options(("variance=0", "maps=8,16", "pooling=mean"))
    {'variance': 0, 'maps': (8, 16), 'pooling': 'mean'}
    """
    found: dict[str, Any] = {}
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name.isidentifier() or not text:
            raise OptionError(f"{word!r} is not an option with a value, such as variance=0.")
        if name in found:
            raise OptionError(f"The option {name} is given twice.")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    return found
