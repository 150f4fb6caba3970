"""Interprets the columns of a vehicle table: by public data sets' names, common names, or the user's options.

A column is written `[-]name[:unit]`, such as `-pos_y_ft` for a y to the right. The name may end in its unit.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lowland.errors import DataError, OptionError, nearest

LENGTHS = {"m": 1.0, "ft": 0.3048, "feet": 0.3048, "cm": 0.01, "mm": 0.001, "km": 1000.0}
TIMES = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
SPEEDS = {"m/s": 1.0, "ft/s": 0.3048, "km/h": 1 / 3.6, "mph": 0.44704, "mps": 1.0, "kmh": 1 / 3.6, "kph": 1 / 3.6}
UNITS = {
    "x": LENGTHS, "y": LENGTHS, "length": LENGTHS, "width": LENGTHS, "speed": SPEEDS, "vx": SPEEDS, "vy": SPEEDS,
    "time": TIMES,
}  # fmt: skip
"""Units of each column, in metres, seconds and m/s."""
KEYS = ("vehicle", "frame", "time", "x", "y", "length", "width", "lane", "speed", "vx", "vy", "place")
"""The keys of columns. A file with two locations, such as two roads, cannot be read as one log."""


@dataclass(frozen=True)
class Layout:
    """The layout of a kind of table.

    Args:
        name: name of the data set.
        marks: columns that identify it, in lower case.
        columns: key → `[-]name[:unit]`.
        unit: unit of lengths and positions, and with "/s" of speeds.
        fps: frames per second, if known; 0 if the table must say.
        point: the point of a vehicle at x and y.
        turned: whether the road may run in any direction of the plane.
        lanes: +1 if lane numbers increase to the left, −1 if to the right, 0 if unknown.
        absolute: whether times are calendar times, which decide where frame numbers restart.
    """

    name: str
    marks: tuple[str, ...]
    columns: Mapping[str, str]
    unit: str = "m"
    fps: float = 0.0
    point: Literal["centre", "front", "corner"] = "centre"
    turned: bool = False
    lanes: int = 0
    absolute: bool = False


NGSIM = Layout(
    "NGSIM",
    ("local_x", "local_y", "v_length"),
    {
        "vehicle": "vehicle_id", "frame": "frame_id", "time": "global_time:ms", "x": "local_y", "y": "-local_x",
        "length": "v_length", "width": "v_width", "lane": "lane_id", "speed": "v_vel", "place": "location",
    },
    unit="ft", fps=10.0, point="front", lanes=-1, absolute=True,
)  # fmt: skip
"""Local_X runs from the left edge of the road to the right, Local_Y along it; lane 1 is the leftmost."""
HIGHD = Layout(
    "highD",
    ("id", "frame", "width", "height", "xvelocity", "laneid"),
    {
        "vehicle": "id", "frame": "frame", "x": "x", "y": "-y", "length": "width", "width": "height", "lane": "laneid",
        "vx": "xvelocity", "vy": "-yvelocity",
    },
    fps=25.0, point="corner", lanes=-1,
)  # fmt: skip
"""x and y are the upper left corner of a vehicle in an image from above, so y points down."""
IND = Layout(
    "inD",
    ("trackid", "xcenter", "ycenter", "xvelocity"),
    {
        "vehicle": "trackid", "frame": "frame", "x": "xcenter", "y": "ycenter", "length": "length", "width": "width",
        "vx": "xvelocity", "vy": "yvelocity", "place": "recordingid",
    },
    fps=25.0, turned=True,
)  # fmt: skip
"""Also rounD, exiD and uniD."""
INTERACTION = Layout(
    "INTERACTION",
    ("track_id", "timestamp_ms", "psi_rad"),
    {
        "vehicle": "track_id", "frame": "frame_id", "time": "timestamp_ms:ms", "x": "x", "y": "y", "length": "length",
        "width": "width", "vx": "vx", "vy": "vy", "place": "case_id",
    },
    turned=True,
)  # fmt: skip
LAYOUTS = (NGSIM, HIGHD, IND, INTERACTION)
NAMES = {
    "vehicle": ("vehicle", "vehicle_id", "vehicleid", "veh_id", "track_id", "trackid", "id"),
    "frame": ("frame", "frame_id", "frameid"),
    "time": ("time", "timestamp", "time_s", "timestamp_s", "time_ms", "timestamp_ms", "t"),
    "x": ("x",),
    "y": ("y",),
    "length": ("length",),
    "width": ("width",),
    "lane": ("lane", "lane_id", "laneid"),
    "speed": ("speed", "velocity"),
    "vx": ("vx",),
    "vy": ("vy",),
    "place": ("location", "recording", "recording_id", "recordingid", "case_id"),
}
"""The names under which a column is looked up in a user's own table."""
_HINTS = {
    "vehicle": ("veh", "track", "car", "agent", "object", "id"), "frame": ("frame", "step"),
    "time": ("time", "stamp", "sec", "t"), "x": ("x", "long", "along", "station"), "y": ("y", "lat", "across", "off"),
    "length": ("len", "l"), "width": ("wid", "w"), "lane": ("lane",),
}  # fmt: skip
_ENDING = re.compile(r"(?:[_\s]+|[\[(])([a-z/]+)[\])]?$")


@dataclass(frozen=True)
class Reading:
    """A user's description of a table; the command line has the same options.

    Args:
        columns: such as "x=pos_x_ft,vehicle=id" or a dictionary. A column is `[-]name[:unit]`; a minus sign flips it,
            and a y named here is not questioned. An empty name is a column to ignore.
        units: m or ft, for positions, lengths and (per second) speeds.
        fps: frames per second, if there are no times.

    Raises:
        OptionError: for an unknown column or unit.

    >>> Reading("x=along,y=-across_ft").chosen["y"]
    Column(name='across_ft', sign=-1.0, unit='ft')
    """

    columns: str | Mapping[str, str] = ""
    units: str = ""
    fps: float = 0.0
    chosen: Mapping[str, Column] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = self.columns
        if isinstance(given, str):
            parts = [part.strip() for part in given.split(",") if part.strip()]
            if wrong := [part for part in parts if "=" not in part]:
                raise OptionError(f"Columns are given as KEY=NAME, such as x=pos_x,vehicle=id, not as {wrong[0]!r}.")
            given = dict(part.split("=", 1) for part in parts)
        chosen = {}
        for key, written in given.items():
            if key.strip() not in KEYS:
                raise OptionError(f"No column of a log is called {key.strip()!r}. {nearest(key.strip(), KEYS)}")
            chosen[key.strip()] = column(key.strip(), written)
        object.__setattr__(self, "chosen", chosen)
        if self.units not in ("", "m", "ft"):
            raise OptionError(
                f"The units of a log are m or ft, not {self.units!r}. Others go with their column, as in x=east:cm."
            )
        if not (self.fps == 0 or 0.1 < self.fps <= 200):
            raise OptionError(f"A log has between 0.1 and 200 frames per second, but fps is {self.fps:g}.")

    @property
    def given(self) -> bool:
        """Whether anything was given."""
        return bool(self.chosen or self.units or self.fps)


@dataclass(frozen=True)
class Column:
    """A column by its name in lower case, its sign, and its unit if known."""

    name: str
    sign: float = 1.0
    unit: str = ""


def column(key: str, written: str) -> Column:
    """Parse `[-]name[:unit]`.

    >>> column("time", "stamp:ms")
    Column(name='stamp', sign=1.0, unit='ms')
    """
    name, _, unit = written.strip().partition(":")
    sign = -1.0 if name.startswith("-") else 1.0
    name, unit, known = name.removeprefix("-").strip().lower(), unit.strip().lower(), UNITS.get(key, {})
    ending = _ENDING.search(name)
    if not unit and ending and ending[1] in known:
        unit = ending[1]
    if unit and unit not in known:
        raise OptionError(f"The column {key} cannot be in {unit!r}. {nearest(unit, known)}")
    return Column(name, sign, unit)


@dataclass(frozen=True)
class Header:
    """A layout applied to a file: the index of each column, and the factor for its values."""

    layout: Layout
    place: Mapping[str, int]
    scale: Mapping[str, float]
    sentence: str
    stated: bool
    """Whether the user named y, so that its direction is certain."""


def understand(names: Sequence[str], reading: Reading, label: str) -> Header:
    """Find out which column is which.

    Args:
        names: the first line of the table.
        reading: the user's description.
        label: the file's name, for errors.

    Raises:
        DataError: if a column is missing or duplicated; the message shows the header and suggests an option.
        OptionError: if the user names a missing column, or contradicts the unit in a column's name.
    """
    header = [name.strip().lower() for name in names]
    layout = next((each for each in LAYOUTS if set(each.marks) <= set(header)), None)
    if layout is None:
        found = {key: next((each for each in known if each in header), "") for key, known in NAMES.items()}
        layout = Layout("own", (), {key: name for key, name in found.items() if name}, lanes=1)
    wanted = {key: column(key, written) for key, written in layout.columns.items()}
    wanted = {key: each for key, each in wanted.items() if each.name in header}
    for axis in ("x", "y"):
        # A user who flips an axis flips its speed as well.
        if axis in reading.chosen and axis in wanted and f"v{axis}" in wanted:
            turned = reading.chosen[axis].sign * wanted[axis].sign
            wanted[f"v{axis}"] = replace(wanted[f"v{axis}"], sign=turned * wanted[f"v{axis}"].sign)
    wanted |= reading.chosen
    wanted = {key: each for key, each in wanted.items() if each.name}
    for key, each in wanted.items():
        if each.name not in header:
            raise OptionError(f"{label} has no column {each.name!r} for {key}. {nearest(each.name, header)}")
        if header.count(each.name) > 1:
            raise DataError(f"{label} has {header.count(each.name)} columns called {each.name!r}: rename all but one.")
    needed = ["vehicle", "frame" if "frame" in wanted else "time", "x", "y", "length", "width"]
    needed += ["lane"] if "lane" in layout.columns else []
    if missing := [key for key in needed if key not in wanted]:
        usual = column(missing[0], layout.columns.get(missing[0], missing[0])).name
        lacks = "frame nor time" if missing[0] == "time" else usual
        raise DataError(_unknown(names, header, missing, lacks, label))
    unit, scale = reading.units or layout.unit, {}
    for key, each in wanted.items():
        known = UNITS.get(key, {"": 1.0})
        if known is LENGTHS and reading.units and each.unit and known[each.unit] != known[reading.units]:
            raise OptionError(f"The column {each.name!r} is in {each.unit} by its name, but units is {reading.units}.")
        usual = {id(LENGTHS): unit, id(SPEEDS): f"{unit}/s", id(TIMES): "s"}.get(id(known), "")
        scale[key] = each.sign * known[each.unit or usual]
    parts = [
        f"{key} from {'−' if each.sign < 0 else ''}{each.name}{f' ({each.unit})' if each.unit else ''}"
        for key, each in wanted.items()
        if key in UNITS
    ]
    kind = "a table" if layout.name == "own" else f"a table of {layout.name}"
    sentence = f"Read as {kind} in {'feet' if unit == 'ft' else 'metres'}: {', '.join(parts)}."
    place = {key: header.index(each.name) for key, each in wanted.items()}
    return Header(layout, place, scale, sentence, "y" in reading.chosen)


def _unknown(names: Sequence[str], header: Sequence[str], missing: Sequence[str], lacks: str, label: str) -> str:
    """A message with what is missing, what there is, and the option that would name it."""
    guesses: dict[str, str] = {}
    for key in missing:
        free = [name for name in header if name and name not in guesses.values()]
        hinted = [name for hint in _HINTS[key] for name in free if hint in re.split(r"[^a-z]+", name)]
        hinted += [name for hint in _HINTS[key] if len(hint) > 1 for name in free if hint in name]
        close = [*hinted, *difflib.get_close_matches(key, free, n=1)]
        guesses[key] = close[0] if close else ""
    option = ",".join(f"{key}={name or 'NAME'}" for key, name in guesses.items())
    shown = ", ".join(name.strip()[:30] for name in names[:30])
    return (
        f"{label} is not a known kind of track table: it has no column {lacks}. Its first line is: {shown[:400]}. Say "
        f"which column is which, such as --columns {option} (columns={option!r} in Python)."
    )
