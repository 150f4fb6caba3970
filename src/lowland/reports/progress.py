"""The progress bar over the stages of a run: drawn on a terminal, silent elsewhere."""

from __future__ import annotations

import sys
from typing import Any


class Progress:
    """A bar of rich's; without a terminal every method does nothing.

    >>> Progress().start("train")
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._total: int | None = None
        self._done = 0

    def expect(self, stages: int) -> None:
        """Set the number of stages."""
        self._total = stages
        if self._bar is not None:
            self._bar.update(self._task, total=stages)

    def open(self, title: str) -> None:
        """Draw the bar."""
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        text = TextColumn("[bold]{task.fields[title]}[/bold] {task.description}")
        columns = SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=self._total, title=title)
        self._bar.start()

    def start(self, stage: str) -> None:
        """A stage begins."""
        if self._bar is not None:
            self._bar.update(self._task, description=stage)

    def done(self) -> None:
        """A stage has ended."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
