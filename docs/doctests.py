"""Shows docstring examples as code: Markdown would read `>>>` as nested quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*\n?(?:^(?!\s*$).*\n?)*", flags=re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts each block from `>>>` to the next empty line into a code fence."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    r"""A docstring with its examples in code fences.

    >>> fenced("Sum.").count("pycon"), fenced("Sum.\n\n>>> 1 + 1\n2\n").count("pycon")
    (0, 1)
    """
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text)
