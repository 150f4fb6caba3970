"""`lowland reconstruct SCAN`: the recipe `reconstruct` on a scan of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lowland.cli.shortcut import Shortcut


@dataclass(frozen=True)
class Reconstruct(Shortcut):
    """Reconstruct images from k-space of which only a part was measured.

    `lowland reconstruct SCAN ...` is short for `lowland run reconstruct --scan SCAN ...`.
    """

    option: ClassVar[str] = "scan"
    needs: ClassVar[str] = "a file of k-space or of images"
