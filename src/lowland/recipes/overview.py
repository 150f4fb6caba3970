"""Every system of the list with its recipes, published figures and what was measured; imports nothing heavy."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowland.errors import CheckpointError
from lowland.recipes.catalogue import Entry, catalogue
from lowland.recipes.record import figure, read_record
from lowland.reports.digits import number
from lowland.reports.files import read_results
from lowland.systems import Published, System, load_sources, load_systems

_log = logging.getLogger(__name__)
NOT_YET = "not yet"


@dataclass(frozen=True)
class Line:
    """One system: the recipes that serve it, and its figures as text: published, on record, measured here."""

    system: System
    recipes: tuple[str, ...]
    published: str
    recorded: str
    measured: str


def overview(runs: Path | None = None) -> list[Line]:
    """A line for each system in the order of the list.

    Args:
        runs: folder of all runs, from whose newest results the measured figures come; None for none.

    >>> next(line.recipes for line in overview() if line.system.id == "E4")
    ('ellipse',)
    """
    serving: dict[str, list[str]] = {}
    for entry in catalogue().values():
        for name in entry.head.systems:
            serving.setdefault(name, []).append(entry.name)
    records = {name: _recorded(entry) for name, entry in catalogue().items()}
    measured = {} if runs is None else _measured(runs)
    lines = []
    for name, system in load_systems().items():
        recipes = tuple(serving.get(name, ()))
        on_record = _of(name, {recipe: records[recipe] for recipe in recipes})
        here = _of(name, {recipe: measured.get(recipe, []) for recipe in recipes})
        lines.append(Line(system, recipes, _published(system.published), on_record, here))
    return lines


def systems_markdown() -> str:
    """The documentation page of all systems: one table for each section of the list.

    >>> systems_markdown().splitlines()[0]
    '# Systems'
    """
    lines = overview()
    done = sum(bool(line.recipes) for line in lines)
    text = [
        "# Systems",
        "",
        f"What Lowland sets out to implement: {len(lines)} systems, of which {done} have a recipe so far. "
        "*On record* is what the best recorded run of a recipe measured; `lowland verify RECIPE` repeats it. "
        "`lowland list --rows` also shows what you measured yourself.",
    ]
    section = ""
    for line in lines:
        if line.system.section != section:
            section = line.system.section
            text += [
                "",
                f"## {section}",
                "",
                "| id | system | recipe | published | on record |",
                "|---|---|---|---|---|",
            ]
        recipes = ", ".join(f"[`{name}`](recipes/{name}.md)" for name in line.recipes) or NOT_YET
        what = f"**{line.system.title}.** {line.system.what}"
        cells = [line.system.id, what, recipes, line.published, line.recorded]
        text.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    sources = [f"- **{name}**: {what}" for name, what in load_sources().items()]
    return "\n".join([*text, "", "## Sources", "", *sources, ""])


def _published(figures: tuple[Published, ...]) -> str:
    """Only what was read in its source: a figure known at second hand is not printed as published."""
    return _few([f"{figure.figure:g} {figure.unit} ({figure.claim})" for figure in figures if figure.checked]) or "–"


Found = list[dict[str, Any]]


def _recorded(entry: Entry) -> Found:
    """The rows on record; a damaged record must not keep the list from being shown."""
    try:
        records = [read_record(entry, preset) for preset in entry.recorded]
    except CheckpointError as error:
        _log.warning("%s", error)
        return []
    return [row for record in records if record is not None for row in record.rows]


def _measured(runs: Path) -> dict[str, Found]:
    """The rows of the newest run of each recipe; one that is being written, or is damaged, is left out."""
    found: dict[str, Found] = {}
    for path in sorted(runs.glob("*/latest/results.json")):
        try:
            found[path.parent.parent.name] = read_results(path.parent)
        except (OSError, CheckpointError):
            continue
    return found


def _of(name: str, found: dict[str, Found]) -> str:
    """The figures of a system: its rows, published ones first and baselines last; else the first of a recipe."""
    try:
        own = [row for rows in found.values() for row in rows if row["id"] == name]
        own.sort(key=lambda row: (row["published"] is None, "baseline" in row["method"]))
        if own:
            return _few([_figure(row) for row in own])
        first = [f"see `{recipe}`: {_figure(_first(rows))}" for recipe, rows in found.items() if rows]
    except (KeyError, TypeError, AttributeError, IndexError):
        return NOT_YET
    return first[0] if first else NOT_YET


def _first(rows: Found) -> dict[str, Any]:
    return next((row for row in rows if "baseline" not in row["method"]), rows[0])


def _figure(row: dict[str, Any]) -> str:
    return f"{number(figure(row))} ({row['method']}: {row['claim']})"


def _few(texts: list[str], most: int = 2) -> str:
    more = f"; {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more
