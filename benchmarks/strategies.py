"""How well every training method tells data from what is not: the recipe `strategies` on four sets and three seeds.

    python benchmarks/strategies.py [--quick] [--json FILE] [--run RUN]

Prints one table, a line for each method, mean ± s.d. over seeds. The first is the distance to the mean, which learns
nothing. About three quarters of an hour on one processor core. `--run` reads a run that has ended instead.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from core import device, versions
from report import write

from lowland.recipes.base import execute, load, start

SHAPE = "low-energy region: share of the picture below the level set"


def measure(quick: bool) -> Path:
    """Run the recipe, and return the folder of the run."""
    recipe = load("strategies")
    options = {} if quick else {"sets": ("spiral", "ellipse", "two_moons", "pinwheel"), "seeds": 3}
    config = recipe.preset("smoke") if quick else recipe.from_options(options)
    return execute(config, start(config, preset="smoke" if quick else "cpu")).folder


def column(result: dict[str, Any]) -> str | None:
    """Heading of a result in the table; None for one that belongs to no method."""
    if result["claim"] == SHAPE:
        return f"low-energy region, {result['data']}"
    return result["claim"].split("against ")[1] if result["claim"].startswith("energy gap") else None


def rows(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each method with its figures as text, in the order in which the run measured them."""
    methods: dict[str, dict[str, Any]] = {}
    for result in results:
        if (heading := column(result)) is not None and result["measured"] is not None:
            deviation = "" if result["sd"] is None else f" ± {result['sd']:.3f}"
            name = f"{result['id']} {result['method']}"
            methods.setdefault(name, {"method": name})[heading] = f"{result['measured']:.3f}{deviation}"
    return list(methods.values())


def table(found: list[dict[str, Any]]) -> str:
    """Methods down, claims across."""
    columns = list(dict.fromkeys(heading for row in found for heading in row))
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row.get(name, "–") for name in columns) + " |" for row in found)])


def main() -> None:
    """Run or read, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="four methods, barely trained: under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a run of the recipe that has ended")
    given = parser.parse_args()
    file = (given.run or measure(given.quick)) / "results.json"
    if not file.is_file():
        parser.error(f"{file} does not exist: name the folder of a run of the recipe `strategies` that has ended.")
    results = json.loads(file.read_text(encoding="utf-8"))
    for result in results:
        if result["claim"].startswith("methods that reach"):
            print(f"{result['measured']:g} {result['claim']} ({result['method']}; seeds: {result['seeds']}).\n")
    found = rows(results)
    print(table(found))
    if given.json:
        write(given.json, __doc__.splitlines()[0], device(), versions(), found)


if __name__ == "__main__":
    main()
