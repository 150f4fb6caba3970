"""`lowland read FOLDER`: the recipe `read` on a folder of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lowland.cli.shortcut import Shortcut


@dataclass(frozen=True)
class Read(Shortcut):
    """Learn to read lines of text from pictures of single lines and what some of them say.

    `lowland read FOLDER ...` is short for `lowland run read --folder FOLDER ...`.
    """

    needs: ClassVar[str] = "your pictures of lines"
