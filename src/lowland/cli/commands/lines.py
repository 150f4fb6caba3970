"""`lowland lines FILE`: the recipe `lines` on a log of the user's; with `--model RUN`, its model on a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from tyro.conf import arg

from lowland.cli.command import Command, RunsCommand
from lowland.cli.shortcut import Shortcut
from lowland.errors import DataError
from lowland.terminal import say


@dataclass(frozen=True)
class Lines(Shortcut):
    """Learn the normal lines of a log, then find unusual ones and name the tokens that make them so.

    `lowland lines FILE ...` is short for `lowland run lines --file FILE ...`.
    `tail -f FILE | lowland lines --model RUN` shows the unusual lines of a stream by the model of that run.
    """

    option: ClassVar[str] = "file"
    needs: ClassVar[str] = "a log of normal lines"

    @classmethod
    def parse(cls, words: list[str], prog: str) -> Command:
        if "--model" in {word.split("=")[0] for word in words}:
            return Watch.parse(words, prog)
        return super().parse(words, prog)


@dataclass(frozen=True)
class Watch(RunsCommand):
    """Show the unusual lines of a log on standard input, each with its score and its offending tokens marked.

    `tail -f FILE | lowland lines --model RUN`
    """

    model: Annotated[str, arg(metavar="RUN")]
    """A run of `lowland lines` (its folder, or latest), or a file lines.safetensors."""
    all: bool = False
    """Whether every line is shown, and unusual ones begin with an exclamation mark."""
    least: float | None = None
    """Least score of an unusual line; by default that of the model."""

    def run(self) -> int:
        from pathlib import Path

        from lowland.data.log_lines import stream_log
        from lowland.recipes.base import torch_threads
        from lowland.training.line_files import load_lines
        from lowland.training.line_scoring import marked

        path = self.runs / "lines" / "latest" if self.model == "latest" else Path(self.model)
        if sys.stdin is None:
            raise DataError("There is no standard input to read lines from.")
        model = load_lines(path)
        least = model.threshold if self.least is None else self.least
        lines: list[str] = []

        def read() -> Iterator[str]:
            for line in stream_log(sys.stdin.buffer):
                lines.append(line)
                yield line

        with torch_threads(1):
            for found in model.scorer.stream(read()):
                line = lines.pop()
                unusual = found.score >= least
                text = marked(line, found, model.mark) if unusual else line
                if unusual or self.all:
                    say(f"{'!' if unusual and self.all else ''}{found.score:.2f}  {text}")
                    sys.stdout.flush()
        return 0
