"""How a page says what was found in a log."""

from __future__ import annotations

from lowland.envs.episodes import Logs
from lowland.reports.run import Run
from lowland.words import verbatim


def write_log(run: Run, logs: Logs) -> None:
    """How a log of the user's was understood, and what was wrong with it."""
    if not logs.reading and not logs.faults:
        return
    run.section("What was found in the log")
    run.text(verbatim(logs.reading, 0))
    if logs.faults:
        rows = [[fault.kind, fault.count, verbatim(fault.sentence, 0)] for fault in logs.faults]
        run.table(("fault", "count", "what was done"), rows)
