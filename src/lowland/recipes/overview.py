"""Every system of the list with its recipes, published figures and what was measured; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowland.recipes.catalogue import catalogue
from lowland.reports.files import read_results
from lowland.systems import Published, System, load_sources, load_systems

NOT_YET = "not yet"


@dataclass(frozen=True)
class Line:
    """One system: its row, the recipes that serve it, published figures and measured ones as text."""

    row: System
    recipes: tuple[str, ...]
    published: str
    measured: str


def overview(runs: Path | None = None) -> list[Line]:
    """A line for each system in the order of the list.

    Args:
        runs: folder of all runs, from whose newest results the measured figures come; None for none.

    >>> next(line.recipes for line in overview() if line.row.id == "E4")
    ('ellipse',)
    """
    serving: dict[str, list[str]] = {}
    for entry in catalogue().values():
        for row in entry.rows:
            serving.setdefault(row, []).append(entry.name)
    measured = _measured(runs) if runs is not None else {}
    return [
        Line(row, tuple(serving.get(name, ())), _published(row.published), _few(measured.get(name, [])) or NOT_YET)
        for name, row in load_systems().items()
    ]


def rows_markdown() -> str:
    """The documentation page of all systems: one table for each section of the list.

    >>> rows_markdown().splitlines()[0]
    '# Systems'
    """
    lines = overview()
    done = sum(bool(line.recipes) for line in lines)
    text = [
        "# Systems",
        "",
        f"What Lowland sets out to implement: {len(lines)} systems, of which {done} have a recipe so far. "
        "Run `lowland list --rows` for the figures measured on your machine.",
    ]
    section = ""
    for line in lines:
        if line.row.section != section:
            section = line.row.section
            text += ["", f"## {section}", "", "| id | system | recipe | published |", "|---|---|---|---|"]
        recipes = ", ".join(f"`{name}`" for name in line.recipes) or NOT_YET
        what = f"**{line.row.title}.** {line.row.what}".replace("|", "\\|")
        text.append(f"| {line.row.id} | {what} | {recipes} | {line.published.replace('|', chr(92) + '|')} |")
    sources = [f"- **{name}**: {what}" for name, what in load_sources().items()]
    return "\n".join([*text, "", "## Sources", "", *sources, ""])


def _published(figures: tuple[Published, ...]) -> str:
    """Only what was read in its source: a figure known at second hand is not printed as published."""
    return _few([f"{figure.figure:g} {figure.unit} ({figure.claim})" for figure in figures if figure.checked]) or "–"


def _measured(runs: Path) -> dict[str, list[str]]:
    """What the newest run of each recipe measured, by system."""
    found: dict[str, list[str]] = {}
    for path in sorted(runs.glob("*/latest/results.json")):
        try:
            for result in read_results(path.parent):
                found.setdefault(result["id"], []).append(_measurement(result))
        except (OSError, ValueError, KeyError, TypeError):
            # A run that is being written, or a damaged one, must not keep the list from being shown.
            continue
    return found


def _measurement(result: dict[str, Any]) -> str:
    measured, deviation = result["measured"], result["sd"]
    value = f"{measured:.4g}" if isinstance(measured, float) else str(measured)
    spread = "" if deviation is None else f" ± {deviation:.2g}"
    return f"{value}{spread} ({result['method']}: {result['claim']})"


def _few(texts: list[str], most: int = 2) -> str:
    more = f"; {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more
