"""`lowland chat FOLDER`: the recipe `chat` on documents of the user's; with `--model RUN`, questions to its memory."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, ClassVar

from tyro.conf import arg

from lowland.cli.command import Command, RunsCommand
from lowland.cli.shortcut import Shortcut
from lowland.terminal import say


@dataclass(frozen=True)
class Chat(Shortcut):
    """Store documents in a memory, and answer questions with the sentence of least energy, its file and its line.

    `lowland chat FOLDER ...` is short for `lowland run chat --folder FOLDER ...`.
    `lowland chat --model RUN --ask "QUESTION"` asks the memory of a finished run; without `--ask`, each line of
    standard input is a question.
    """

    needs: ClassVar[str] = "your documents"

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        if "--model" in {word.split("=")[0] for word in words}:
            return Ask.parse(words, prog)
        return super().parse(words, prog)


@dataclass(frozen=True)
class Ask(RunsCommand):
    """Ask the memory of a finished run of `lowland chat`.

    `lowland chat --model latest --ask "How are values scaled?"`
    """

    model: Annotated[str, arg(metavar="RUN")]
    """A run of `lowland chat` (its folder, or latest), or the folder `memory` of one."""
    ask: tuple[str, ...] = ()
    """Questions; without any, each line of standard input is one."""

    def run(self) -> int:
        from pathlib import Path

        from lowland.errors import DataError
        from lowland.recipes.base import torch_threads
        from lowland.training.memory_files import load_memory
        from lowland.training.passage_memory import told

        memory = load_memory(self.runs / "chat" / "latest" if self.model == "latest" else Path(self.model))
        if not self.ask and sys.stdin is None:
            raise DataError("There is no standard input to read questions from: give them with --ask.")
        with torch_threads(1):
            for question in self.ask or sys.stdin:
                if question.strip():
                    say(told(memory, memory.ask(question.strip())))
                    sys.stdout.flush()
        return 0
