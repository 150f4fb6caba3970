"""The history of a run: in memory, as `metrics.csv`, for TensorBoard, and for any Lightning logger."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.fabric.loggers.logger import Logger

from lowland.errors import CheckpointError
from lowland.files import write_atomically


class Curve(NamedTuple):
    """One logged number over time: `values[i]` was logged after `steps[i]` steps."""

    steps: list[int]
    values: list[float]


Row = dict[str, float]


class Table:
    """`metrics.csv`: one line for each logged step, with a column "step" and one for each number.

    A cell is empty where a step has no such number. Lines are only ever added, except that a new column rewrites the
    file as a whole.

    Args:
        path: the file. Lines up to step `until` are kept; later ones are dropped, because the resumed run writes them
            again.
        until: step of the checkpoint that the run resumes from; 0 for a new run.
    """

    def __init__(self, path: Path, until: int = 0) -> None:
        self.path, self.columns = path, ["step"]
        self.rows: dict[int, Row] = {}
        if until and path.is_file():
            self._read(until)
        self._rewrite()

    def _read(self, until: int) -> None:
        # A killed process may leave an incomplete last line.
        whole = self.path.read_text(errors="replace").rpartition("\n")[0]
        for line in csv.DictReader(io.StringIO(whole)):
            cells = {name: text for name, text in line.items() if name and text}
            try:
                row = {name: float(text) for name, text in cells.items()}
            except ValueError:
                continue  # a broken line: either its step runs again, or the checkpoint's fingerprint reveals the loss
            step = int(row.pop("step", until + 1))
            if step <= until:
                self.rows[step] = row
                self._admit(row)

    def _admit(self, row: Row) -> bool:
        new = [name for name in row if name not in self.columns]
        self.columns += new
        return bool(new)

    def _line(self, step: int, row: Row) -> list[str]:
        return [str(step), *(repr(row[name]) if name in row else "" for name in self.columns[1:])]

    def _text(self, lines: Sequence[Sequence[str]]) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(lines)
        return buffer.getvalue()

    def _rewrite(self) -> None:
        lines = [self.columns, *(self._line(step, row) for step, row in self.rows.items())]
        write_atomically(self.path, self._text(lines).encode())

    def append(self, rows: dict[int, Row]) -> None:
        """Add rows by step; a full disk raises CheckpointError."""
        self.rows.update(rows)
        widened = [self._admit(row) for row in rows.values()]
        if any(widened):
            self._rewrite()
            return
        try:
            with self.path.open("a") as file:
                file.write(self._text([self._line(step, row) for step, row in rows.items()]))
        except OSError as error:
            raise CheckpointError(
                f"{self.path} could not be written: {error.strerror}. Free some space, then resume."
            ) from error

    def force(self) -> None:
        """Flush appended rows to the disk, so that no checkpoint is newer than its rows."""
        with self.path.open("a") as file:
            os.fsync(file.fileno())


class Logs:
    """Passes rows on to the table, TensorBoard and the loggers.

    Args:
        run: the run's folder; None keeps the history in memory only.
        until: see `Table`.
        loggers: Lightning loggers.
    """

    def __init__(self, run: Path | None, until: int, loggers: Sequence[Logger]) -> None:
        self.loggers = loggers
        self.table = None if run is None else Table(run / "metrics.csv", until)
        self.rows: dict[int, Row] = {} if self.table is None else dict(self.table.rows)
        self.board = None if run is None else _board(run / "tensorboard", until)
        self._digest, self._noted = hashlib.sha256(), 0

    def write(self, rows: dict[int, Row]) -> None:
        """Rows by step, each a dictionary of numbers."""
        self.rows.update(rows)
        if self.table is not None:
            self.table.append(rows)
        for step, row in rows.items():
            if self.board is not None:
                for name, value in row.items():
                    self.board.add_scalar(name, value, step, new_style=True)
            for logger in self.loggers:
                logger.log_metrics(row, step)

    def force(self) -> None:
        """See `Table.force`."""
        if self.table is not None:
            self.table.force()

    @property
    def path(self) -> Path | None:
        """Path of `metrics.csv`, or None."""
        return None if self.table is None else self.table.path

    def fingerprint(self) -> str:
        """A fingerprint of all rows so far, stored in each checkpoint."""
        for step, row in list(self.rows.items())[self._noted :]:
            self._digest.update(f"{step}:{sorted(row.items())!r};".encode())
        self._noted = len(self.rows)
        return self._digest.hexdigest()

    def close(self, success: bool) -> None:
        """Flush everything."""
        if self.board is not None:
            self.board.close()
        for logger in self.loggers:
            logger.finalize("success" if success else "failed")

    def curves(self) -> dict[str, Curve]:
        """The history by name."""
        found: dict[str, Curve] = {}
        for step, row in self.rows.items():
            for name, value in row.items():
                curve = found.setdefault(name, Curve([], []))
                curve.steps.append(step)
                curve.values.append(value)
        return found


def _board(folder: Path, until: int) -> Any:
    from torch.utils.tensorboard.writer import SummaryWriter

    return SummaryWriter(str(folder), purge_step=until + 1 if until else None)
