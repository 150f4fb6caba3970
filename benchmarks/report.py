"""Writes RESULTS.md from the results of benchmarks and recipes, without measuring anything.

    python benchmarks/report.py [--check]

A benchmark writes its rows with `--json benchmarks/results/NAME.json`; comments by a person go into the `note` of that
file, which later runs keep. The figures of recipes, with notes, come from their `record.json` (`lowland record`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from lowland.recipes.catalogue import USUAL, Entry, catalogue
from lowland.recipes.record import Record, figure, read_record
from lowland.reports.digits import number

FOLDER = Path(__file__).parent
HEADINGS = {
    "rival": "competitor",
    "error_ours": "error, ours", "error_theirs": "error, theirs", "worst_theirs": "worst error, theirs",
    "worst_ours": "worst error, ours", "steps_ours": "steps, ours", "steps_theirs": "steps, theirs", "why": "remark",
}  # fmt: skip
HEAD = ("title", "command", "date", "machine", "versions", "note", "rows")
TOP = """# Results

Written by `benchmarks/report.py`; do not edit. Benchmarks come first, then the recorded runs of the recipes.

A benchmark measures Lowland and its competitors in one process on the same work. A ratio above 1 means that Lowland is
better.
"""


def write(path: Path, title: str, machine: str, versions: str, rows: list[dict[str, Any]]) -> None:
    """Write the rows of a benchmark with what is needed to repeat it; title and note of an earlier file are kept."""
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    words = [word for word in sys.argv[1:] if word not in ("--json", str(path)) and word != f"--json={path}"]
    values = {
        "title": earlier.get("title", title),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words]),
        "date": str(date.today()),
        "machine": machine,
        "versions": versions,
        "note": earlier.get("note", ""),
        "rows": [{key: value for key, value in row.items() if key != "device"} for row in rows],
    }
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def benchmark(path: Path) -> str:
    """The section of one file of `results/`."""
    values = json.loads(path.read_text(encoding="utf-8"))
    if set(values) != set(HEAD):
        raise SystemExit(f"{path} must have the entries {', '.join(HEAD)}: write it with --json of its benchmark.")
    rows = values["rows"]
    keys = [
        key
        for key in dict.fromkeys(key for row in rows for key in row)
        if any(row.get(key) is not None for row in rows)
    ]
    place = ", ".join(filter(None, [values["date"], values["machine"], values["versions"]]))
    cells = [[row.get(key) for key in keys] for row in rows]
    parts = [f"## {values['title']}", f"{place}.", f"```sh\n{values['command']}\n```", values["note"]]
    return "\n\n".join([*filter(None, parts), table([HEADINGS.get(key, key) for key in keys], cells)])


def recipes() -> str:
    """The recorded run of each recipe."""
    parts = ["# Recipes", "What each recipe measured in its recorded run. `lowland verify NAME` repeats it."]
    for entry in catalogue().values():
        records = [read_record(entry, preset) for preset in entry.recorded]
        parts += [part for record in records if record is not None for part in recipe(entry, record)]
    return "\n\n".join(filter(None, parts))


def recipe(entry: Entry, record: Record) -> list[str]:
    """The parts of a recorded run."""
    cores = f"{record.machine['processors']} cores"
    accelerator = str(record.machine["accelerator"]).replace("none", "no GPU")
    machine = ", ".join([str(record.machine["system"]), cores, accelerator])
    columns = ("system", "what", "method", "published", "measured", "data")
    which = "" if record.preset == USUAL else f", preset `{record.preset}`"
    return [
        f"## {entry.head.title} (`{entry.name}`{which})",
        f"{record.date}, {machine}, {record.minutes:g} minutes.",
        f"```sh\n{record.command}\n```",
        table(columns, [_row(row) for row in record.rows]),
        record.note.strip(),
    ]


def _row(row: Mapping[str, Any]) -> list[Any]:
    return [row["id"], row["claim"], row["method"], row["published"], figure(row), row["data"]]


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [["" if cell is None else number(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [headings, ["---"] * len(headings), *lines])


def markdown() -> str:
    """All of RESULTS.md."""
    return "\n\n".join([TOP.strip(), *map(benchmark, sorted((FOLDER / "results").glob("*.json"))), recipes()]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if it is out of date")
    options = parser.parse_args()
    path, text = FOLDER / "RESULTS.md", markdown()
    if not options.check:
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        raise SystemExit("benchmarks/RESULTS.md is not up to date: run python benchmarks/report.py.")


if __name__ == "__main__":
    main()
