"""Options of recipes that read a user's log: what the columns of a table mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lowland.data.cleaning import Fault
from lowland.data.logs import Reading
from lowland.errors import OptionError
from lowland.recipes.base import Recipe
from lowland.reports.run import Run
from lowland.words import verbatim


@dataclass(frozen=True)
class LogOptions(Recipe):
    """Columns, units and frame rate of a table; all other formats state these themselves."""

    columns: str = ""
    """Which column of a table is which, such as x=pos_x_ft,vehicle=id; see docs/logs.md. Empty: by their names."""
    units: str = ""
    """Units of a table, m or ft. Empty: those of its data set, else m."""
    fps: float = 0.0
    """Frames per second of a table without times. 0: those of its data set."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.reading

    @property
    def reading(self) -> Reading:
        """What the options state about a table."""
        return Reading(self.columns, self.units, self.fps)

    @property
    def said(self) -> str:
        """The options that were given, as arguments of a call: ", units='ft'"; empty where there are none."""
        given = {"columns": self.columns, "units": self.units, "fps": self.fps}
        return "".join(f", {name}={value!r}" for name, value in given.items() if value)

    def need_log(self, path: str, option: str) -> None:
        """Raise an OptionError if a table is described but none is given."""
        if self.reading.given and not path:
            raise OptionError(f"columns, units and fps are for a log of your own: name it with {option}.")


def show_faults(run: Run, faults: Sequence[Fault]) -> None:
    """Say whether anything was wrong with a log, and add the table `faults` of it where there was."""
    run.show(faults=bool(faults))
    if faults:
        rows = [[fault.kind, fault.count, verbatim(fault.sentence, 0)] for fault in faults]
        run.table(("fault", "count", "what was done"), rows, name="faults")
