"""How well each training method separates data from negatives: the recipe `strategies` on four sets and three seeds.

    python benchmarks/strategies.py [--quick] [--json FILE] [--run RUN]

Prints one table with a line per method, mean ± standard deviation over seeds. The first method is the distance to the
mean, a baseline without learning. It takes about 45 minutes on one core. `--run` reads a finished run instead.
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
    """Column heading of a result; None for one that belongs to no method."""
    if result["claim"] == SHAPE:
        return f"low-energy region, {result['data']}"
    return result["claim"].split("against ")[1] if result["claim"].startswith("energy gap") else None


def rows(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per method with its figures as text, in the order of the run."""
    methods: dict[str, dict[str, Any]] = {}
    for result in results:
        if (heading := column(result)) is not None and result["measured"] is not None:
            deviation = "" if result["sd"] is None else f" ± {result['sd']:.3f}"
            name = f"{result['id']} {result['method']}"
            methods.setdefault(name, {"method": name})[heading] = f"{result['measured']:.3f}{deviation}"
    return list(methods.values())


def table(found: list[dict[str, Any]]) -> str:
    """A table with methods as rows and claims as columns."""
    columns = list(dict.fromkeys(heading for row in found for heading in row))
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row.get(name, "–") for name in columns) + " |" for row in found)])


def main() -> None:
    """Run the recipe or read a run, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="four methods, barely trained: under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a finished run of the recipe")
    given = parser.parse_args()
    file = (given.run or measure(given.quick)) / "results.json"
    if not file.is_file():
        parser.error(f"{file} does not exist: name the folder of a finished run of the recipe `strategies`.")
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
