"""`lowland cost FILE`: the recipe `cost` on a file of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lowland.cli.shortcut import Shortcut


@dataclass(frozen=True)
class Cost(Shortcut):
    """Count and time what a network takes: operations, bytes, energy and latency, layer by layer.

    `lowland cost FILE ...` is short for `lowland run cost --file FILE ...`.
    """

    option: ClassVar[str] = "file"
    needs: ClassVar[str] = "a run, an encoder, a policy, an .onnx graph or a .pt2 program"
