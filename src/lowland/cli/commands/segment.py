"""`lowland segment FOLDER`: the recipe `segment` on a folder of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lowland.cli.shortcut import Shortcut


@dataclass(frozen=True)
class Segment(Shortcut):
    """Learn to label every pixel from a folder of pictures and masks of some of them.

    `lowland segment FOLDER ...` is short for `lowland run segment --folder FOLDER ...`.
    """

    needs: ClassVar[str] = "your pictures"
