"""`lowland pretrain FOLDER`: the recipe `pretrain` on a folder of the user's."""

from __future__ import annotations

from dataclasses import dataclass

from lowland.cli.command import Command
from lowland.cli.commands.run import Run, show_options
from lowland.cli.parse import HELP
from lowland.errors import OptionError


@dataclass(frozen=True)
class Pretrain(Run):
    """Learn an encoder from a folder of images or series, without labels.

    `lowland pretrain FOLDER ...` is short for `lowland run pretrain --folder FOLDER ...`.
    """

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        if HELP & set(words):
            show_options("pretrain", f"{prog} FOLDER")
        if words and not words[0].startswith("-"):
            words = ["--folder", *words]
        elif "--resume" not in {word.split("=")[0] for word in words}:
            raise OptionError(f"`{prog}` needs the FOLDER of your images or series, as its first word.")
        return super().parse(["pretrain", *words], prog)
