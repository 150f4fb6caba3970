"""Figures on record: what the best run of a recipe measured, kept beside its page, and whether a new run agrees.

`record.json` in the folder of a recipe, or `record-PRESET.json`, holds the rows of a finished run with its command,
preset, options, date, machine, versions, commit and minutes, and a note of what a person must say about it. `lowland
record` writes it, `lowland verify` runs the recipe anew and compares.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lowland.checksums import read_json
from lowland.errors import CheckpointError, OptionError
from lowland.files import write_atomically
from lowland.recipes.catalogue import USUAL, Entry, catalogue, find
from lowland.reports.digits import number
from lowland.reports.files import FIELDS, read_results

_log = logging.getLogger(__name__)
FORMAT = 1
ROUNDING = 1e-4
"""Relative difference that another processor may make where a claim states no tolerance."""
WIDTH = 3.0
"""How many standard errors of the difference two runs may be apart."""


@dataclass(frozen=True)
class Record:
    """The recorded run of a recipe.

    Args:
        recipe: its name.
        command: that repeats the run.
        preset, options: of the run.
        date: when it began.
        machine: system, processors, accelerator.
        versions: of Python, Lowland and the packages that matter.
        commit: of the code, where it ran from a checkout.
        minutes: of computing.
        rows: of `results.json`, each with its `tolerance`, None where it is not compared.
        note: what a person must say about the run.
        format: of the file.
    """

    recipe: str
    command: str
    preset: str
    options: Mapping[str, Any]
    date: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str
    minutes: float
    rows: tuple[dict[str, Any], ...]
    note: str = ""
    format: int = FORMAT


def read_record(entry: Entry, preset: str = USUAL) -> Record | None:
    """The record of a recipe's preset; None if there is none yet.

    Raises:
        CheckpointError: if the file is damaged, of another format, or of another recipe.
    """
    path = entry.record(preset)
    if not path.is_file():
        return None
    values = read_json(path, keys=("recipe", "format", "rows"))
    if values["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {values['format']!r}, but this version of Lowland reads {FORMAT}: record the run again."
        )
    if values["recipe"] != entry.name:
        raise CheckpointError(f"{path} is the record of {values['recipe']}, not of {entry.name}: record the run again.")
    try:
        found = Record(**{**values, "rows": tuple(values["rows"])})
        if not all(set(row) == {*FIELDS, "tolerance"} for row in found.rows):
            raise TypeError("its rows have other fields")
    except TypeError as error:
        raise CheckpointError(f"{path} is not a record that this version of Lowland reads: {error}.") from None
    return found


def write_record(folder: Path, note: str | None = None) -> Path:
    """Record a finished run; returns the path of the record.

    Args:
        folder: of the run.
        note: what a person must say about it; by default that of the record that it replaces.

    Raises:
        CheckpointError: if the run is not finished, is damaged, or is of a recipe that has no folder here.
        OptionError: if the run is one of the preset `smoke`, whose figures mean nothing.
    """
    from lowland.reports.page import command
    from lowland.reports.run import Run

    config = read_json(folder / "config.json", keys=("recipe", "preset", "options"))
    page = read_json(folder / "page.json", keys=("seconds",))
    status = read_json(folder / "status.json", keys=("status",))["status"]
    place = read_json(folder / "environment.json", keys=("packages", "started"))
    entry = find(config["recipe"])
    if status != "finished":
        raise CheckpointError(
            f"{folder} has not finished ({status}): only finished runs are recorded. Resume it first."
        )
    if config["preset"] == "smoke":
        raise OptionError("A smoke run is not recorded: its figures mean nothing. Run the recipe with --preset cpu.")
    filled = Run.open(folder).filled(entry.page)
    rows = tuple(
        {**row, "tolerance": tolerance(row, one)} for row, one in zip(filled.rows, filled.tolerances, strict=True)
    )
    if list(filled.rows) != read_results(folder):
        raise CheckpointError(
            f"The page of {entry.name} has changed since {folder} was written: run `lowland report` first."
        )
    before = read_record(entry, config["preset"])
    versions = {"python": place["python"], "lowland": place["lowland"], **place["packages"]}
    record = Record(
        recipe=entry.name,
        command=command(config),
        preset=config["preset"],
        options=config["options"],
        date=place["started"],
        machine={name: place[name] for name in ("system", "processors", "threads", "accelerator")},
        versions=versions,
        commit=place.get("commit", ""),
        minutes=round(page["seconds"] / 60, 2),
        rows=rows,
        note=note if note is not None else before.note if before else "",
    )
    # Without a checksum: a figure that somebody changes by hand is found by `verify`, which names its row.
    path = entry.record(record.preset)
    write_atomically(path, (json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n").encode())
    return path


@dataclass(frozen=True)
class Compared:
    """A row of a record beside the same row of a new run.

    Args:
        row: of the record.
        measured: by the new run; None where it has no such row.
        allowed: the largest difference that counts as agreement; None where the row is not compared.
        agrees: whether the two agree.
    """

    row: Mapping[str, Any]
    measured: Any
    allowed: float | None
    agrees: bool

    @property
    def text(self) -> str:
        """One line: what was recorded, what was measured, and the verdict."""
        recorded = number(figure(self.row))
        verdict = "not compared" if self.allowed is None else "agrees" if self.agrees else "DIFFERS"
        within = "" if self.allowed is None else f", within {number(self.allowed)}"
        where = f"{self.row['id']} {self.row['method']}: {self.row['claim']}"
        return f"{verdict:<12} {where}: recorded {recorded}, now {number(self.measured)}{within}"


def compare(record: Record, rows: list[dict[str, Any]]) -> list[Compared]:
    """Every row of a record beside that of a new run.

    >>> row = dict(id="E4", claim="error", method="ours", published=None, measured=1.0, sd=None, seeds=1, data="")
    >>> record = Record("ellipse", "", "cpu", {}, "", {}, {}, "", 0.1, ({**row, "tolerance": 0.1},))
    >>> [one.agrees for one in compare(record, [{**row, "measured": 1.05}])]
    [True]
    >>> compare(record, [{**row, "measured": 2.0}])[0].text
    'DIFFERS      E4 ours: error: recorded 1, now 2, within 0.1'
    """
    fresh = {_key(row): row["measured"] for row in rows}
    found = []
    for row in record.rows:
        key, allowed = _key(row), row["tolerance"]
        now = fresh.get(key)
        found.append(Compared(row, now, allowed, key in fresh and _close(row["measured"], now, allowed)))
    return found


def tolerance(row: Mapping[str, Any], stated: float | str | None) -> float | None:
    """By how much a new run may differ from a row of a record; None for a row that is not compared.

    Two means over n seeds with deviation s may differ by 3 s √(2 / n), and any two figures by 1e-4 of their size.

    Args:
        row: of `results.json`.
        stated: the tolerance of the claim in the head of the page, if any.

    >>> tolerance(dict(measured=2.0, sd=0.1, seeds=2), None), tolerance(dict(measured=2.0, sd=None, seeds=1), "5 %")
    (0.30000000000000004, 0.1)
    """
    size = abs(row["measured"]) if isinstance(row["measured"], (int, float)) else 0.0
    if stated == "machine":
        return None
    if isinstance(stated, str):
        return float(stated.replace("%", "")) / 100 * size
    if stated is not None:
        return float(stated)
    spread = 0.0 if row["sd"] is None else WIDTH * row["sd"] * math.sqrt(2 / max(row["seeds"], 1))
    return max(spread, ROUNDING * size)


def _key(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return row["id"], row["claim"], row["method"], row["data"]


def _close(first: Any, second: Any, allowed: float | None) -> bool:
    if allowed is not None and isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return first == second or abs(first - second) <= allowed
    return allowed is None or first == second


def recorded(name: str, preset: str = USUAL) -> Record:
    """The record of a recipe by name and preset.

    Raises:
        OptionError: if the recipe is unknown, or has no record.
    """
    record = read_record(find(name), preset)
    if record is None:
        known = [one.name for one in catalogue().values() if preset in one.recorded]
        raise OptionError(
            f"The preset {preset} of the recipe {name} has no figures on record: run it, then `lowland record {name}`. "
            f"With this preset there are {', '.join(known) or 'none'}."
        )
    return record


def figures_on_record(entry: Entry, preset: str = USUAL) -> dict[str, Any]:
    """Mean, or [mean, deviation], by id, claim and method joined by tabs, as pages show them.

    They are those of the preset if it has any, and else those of the usual one.
    """
    try:
        record = read_record(entry, preset) or read_record(entry)
    except CheckpointError as error:
        _log.warning("%s", error)
        return {}
    rows = () if record is None else record.rows
    return {"\t".join((row["id"], row["claim"], row["method"])): figure(row) for row in rows}


def figure(row: Mapping[str, Any]) -> Any:
    """What a row measured, for `reports.digits.number`."""
    return row["measured"] if row["measured"] is None or row["sd"] is None else [row["measured"], row["sd"]]
