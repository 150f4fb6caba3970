"""Commands that are a recipe with one option given as the first word, such as `lowland read FOLDER`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lowland.cli.command import Command
from lowland.cli.commands.run import Run, show_options
from lowland.cli.parse import HELP
from lowland.errors import OptionError


@dataclass(frozen=True)
class Shortcut(Run):
    """`lowland NAME FILES ...` for `lowland run NAME --option FILES ...`, NAME being the name of the class."""

    option: ClassVar[str] = "folder"
    """Which option of the recipe the first word is."""
    needs: ClassVar[str]
    """What it names, for who leaves it out."""

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        name = cls.__name__.lower()
        if HELP & set(words):
            show_options(name, f"{prog} {cls.option.upper()}")
        if words and not words[0].startswith("-"):
            words = [f"--{cls.option}", *words]
        elif "--resume" not in {word.split("=")[0] for word in words}:
            raise OptionError(f"`{prog}` needs the {cls.option.upper()}, {cls.needs}, as its first word.")
        return super().parse([name, *words], prog)
