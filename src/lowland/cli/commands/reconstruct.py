"""`lowland reconstruct SCAN`: the recipe `reconstruct` on a scan of the user's."""

from __future__ import annotations

from dataclasses import dataclass

from lowland.cli.command import Command
from lowland.cli.commands.run import Run, show_options
from lowland.cli.parse import HELP
from lowland.errors import OptionError


@dataclass(frozen=True)
class Reconstruct(Run):
    """Reconstruct images from k-space of which only a part was measured.

    `lowland reconstruct SCAN ...` is short for `lowland run reconstruct --scan SCAN ...`.
    """

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        if HELP & set(words):
            show_options("reconstruct", f"{prog} SCAN")
        if words and not words[0].startswith("-"):
            words = ["--scan", *words]
        elif "--resume" not in {word.split("=")[0] for word in words}:
            raise OptionError(f"`{prog}` needs the SCAN, a file of k-space or of images, as its first word.")
        return super().parse(["reconstruct", *words], prog)
