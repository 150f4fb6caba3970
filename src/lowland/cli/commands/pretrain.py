"""`lowland pretrain FOLDER`: the recipe `pretrain` on a folder of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lowland.cli.shortcut import Shortcut


@dataclass(frozen=True)
class Pretrain(Shortcut):
    """Learn an encoder from a folder of images or series, without labels.

    `lowland pretrain FOLDER ...` is short for `lowland run pretrain --folder FOLDER ...`.
    """

    needs: ClassVar[str] = "your images or series"
