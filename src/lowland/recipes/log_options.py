"""The options of recipes that read a log of the user's: what the columns of a table mean."""

from __future__ import annotations

from dataclasses import dataclass

from lowland.data.logs import Reading
from lowland.errors import OptionError
from lowland.recipes.base import Recipe


@dataclass(frozen=True)
class LogOptions(Recipe):
    """Columns, units and frames of a table; other formats say them themselves."""

    columns: str = ""
    """Of a table, which column is which, such as x=pos_x_ft,vehicle=id; see docs/logs.md. None: by their names."""
    units: str = ""
    """Of a table, m or ft. None: as its data set has them, else m."""
    fps: float = 0.0
    """Frames a second of a table without times. 0: as its data set has them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.reading

    @property
    def reading(self) -> Reading:
        """What the options say of a table."""
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
