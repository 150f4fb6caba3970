"""Whether the recipes still measure on `smoke` what they measured before their pages became templates.

    python tests/smoke_results.py [NAME ...] [--runs DIR] [--relative 1e-9]

`golden/smoke/NAME.json` holds the rows of results.json as they were, `golden/smoke/reworded/NAME.json` the texts that
have changed since, {"old": "new"}, and `golden/smoke/different.json` the rows whose number differs, each with its
reason. Every other difference is printed, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lowland.recipes.base import execute, load, start

GOLDEN = Path(__file__).parent / "golden" / "smoke"
Row = dict[str, Any]


def expected(name: str) -> list[Row]:
    """The rows as they were, in the words of today, without those that differ for a stated reason."""
    path = GOLDEN / "reworded" / f"{name}.json"
    words = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known = json.loads((GOLDEN / "different.json").read_text(encoding="utf-8")).get(name, {})
    rows = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    kept = [row for row in rows if not any(claim in (row["claim"], "all") for claim in known)]
    return [
        {key: words.get(value, value) if isinstance(value, str) else value for key, value in r.items()} for r in kept
    ]


def differences(name: str, found: Sequence[Row], relative: float = 1e-9) -> list[str]:
    """One line for each row that is missing or has another number."""
    rows = {(row["id"], row["claim"], row["method"], row["data"]): row for row in found}
    lines = []
    for row in expected(name):
        key = (row["id"], row["claim"], row["method"], row["data"])
        if key not in rows:
            lines.append(f"{name}: there is no row {' | '.join(key)} any more")
            continue
        for field in ("measured", "sd", "seeds"):
            before, now = row[field], rows[key][field]
            if before != now and not _close(before, now, relative):
                lines.append(f"{name}: {' | '.join(key)}: {field} was {before} and is {now}")
    return lines


def _close(before: Any, now: Any, relative: float) -> bool:
    numbers = isinstance(before, (int, float)) and isinstance(now, (int, float))
    return numbers and math.isclose(before, now, rel_tol=relative, abs_tol=relative)


def main() -> int:
    """Run the recipes and compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of recipes; by default all that have golden rows")
    parser.add_argument("--runs", type=Path, help="folder for the runs; by default a temporary one")
    parser.add_argument(
        "--relative", type=float, default=1e-9, help="difference that is allowed (default: %(default)s)"
    )
    options = parser.parse_args()
    names = options.names or sorted(path.stem for path in GOLDEN.glob("*.json") if path.stem != "different")
    with tempfile.TemporaryDirectory() as folder:
        lines = []
        for name in names:
            config = load(name).preset("smoke")
            run = execute(config, start(config, options.runs or folder, "smoke"))
            found = differences(name, run.results, options.relative)
            print(f"{name}: {len(expected(name))} rows, {len(found)} differ", flush=True)
            lines += found
    print(*lines, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
