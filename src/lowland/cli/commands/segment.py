"""`lowland segment FOLDER`: the recipe `segment` on a folder of the user's."""

from __future__ import annotations

from dataclasses import dataclass

from lowland.cli.command import Command
from lowland.cli.commands.run import Run, show_options
from lowland.cli.parse import HELP
from lowland.errors import OptionError


@dataclass(frozen=True)
class Segment(Run):
    """Learn to label every pixel from a folder of pictures and masks of some of them.

    `lowland segment FOLDER ...` is short for `lowland run segment --folder FOLDER ...`.
    """

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        if HELP & set(words):
            show_options("segment", f"{prog} FOLDER")
        if words and not words[0].startswith("-"):
            words = ["--folder", *words]
        elif "--resume" not in {word.split("=")[0] for word in words}:
            raise OptionError(f"`{prog}` needs the FOLDER of your pictures, as its first word.")
        return super().parse(["segment", *words], prog)
