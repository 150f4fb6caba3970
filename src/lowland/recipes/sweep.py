"""One recipe over several values of its options, on one page: `lowland run drive --sweep horizon=1,2,5`.

Each point of the sweep is a run of its own in the folder of the sweep. What a point shares with the others, because it
does not depend on the swept options, is computed once: the head of the page names these stages (`[sweeps.OPTION]`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lowland.errors import OptionError, nearest
from lowland.plots import curves
from lowland.recipes.base import Recipe, execute, start
from lowland.recipes.catalogue import Entry, catalogue, find
from lowland.recipes.record import figures_on_record
from lowland.reports.head import Head, Sweep, read_page
from lowland.reports.page import render
from lowland.reports.run import Run

Axes = dict[str, list[Any]]


def parse_axes(cls: type[Recipe], words: Sequence[str]) -> Axes:
    """The axes of a sweep from words such as "horizon=1,2,5".

    Raises:
        OptionError: for a word that is not OPTION=VALUE,VALUE, an unknown option, or a value of another kind.
    """
    axes: Axes = {}
    known = {field.name: field.default for field in dataclasses.fields(cls)}
    for word in words:
        name, _, values = word.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if name not in known:
            raise OptionError(f"The recipe {cls.entry.name} has no option {name!r} to sweep. {nearest(name, known)}")
        found = [_value(name, text.strip(), known[name]) for text in values.split(",") if text.strip()]
        if len(found) < 2 or len(set(map(str, found))) < len(found) or name in axes:
            raise OptionError(
                f"--sweep {word} must be an option with two or more different values: --sweep {name}=A,B."
            )
        axes[name] = found
    return axes


def _value(name: str, text: str, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind in (int, float, str):
            return kind(text)
    except (ValueError, KeyError):
        raise OptionError(f"{name} cannot be {text!r} in a sweep: its default is {default!r}.") from None
    raise OptionError(f"{name} cannot be swept: only options with one number, word or true/false can.")


def start_sweep(
    config: Recipe, axes: Axes, runs: Path | str = "runs", preset: str = "cpu", resume: Path | None = None
) -> Run:
    """The run that holds a sweep: a new one, or an earlier one to go on with; see `base.start`."""
    for point in points(config, axes):
        dataclasses.replace(config, **point)  # bad values show before anything is computed
    run = start(config, runs, preset, resume, axes)
    _describe(run, axes)
    return run


def _describe(run: Run, axes: Axes) -> None:
    entry = find(run.config["recipe"])
    found = _of(_head(entry), axes)
    title = found.title or f"{entry.title}: {', '.join(axes)}"
    run.describe(title, found.shows or entry.shows, found.systems or entry.rows)


def _head(entry: Entry) -> Head | None:
    return read_page(entry.page)[0] if entry.page else None


def points(config: Recipe, axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The options that each point sets, in order; the last axis runs fastest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def execute_sweep(config: Recipe, axes: Axes, run: Run) -> Run:
    """Run every point that has not finished yet, and write the page of all."""
    shared = _of(_head(config.entry), axes).shared
    with run:
        run.expect(len(points(config, axes)))
        for point in points(config, axes):
            run.doing(label(point))
            one = run.point(label(point), config.entry.name, dataclasses.asdict(dataclasses.replace(config, **point)))
            one.share(run.folder, shared)
            if one.finished:
                continue
            one.describe(run.title, config.entry.shows, config.entry.rows, config.entry.page)
            execute(dataclasses.replace(config, **point), one)
        fill(run, axes)
    return run


def label(point: Mapping[str, Any]) -> str:
    """How a point is called, on the page and as a folder.

    >>> label({"horizon": 5, "hinge": False})
    'horizon=5 hinge=False'
    """
    return " ".join(f"{name}={value}" for name, value in point.items())


def fill(run: Run, axes: Mapping[str, Sequence[Any]]) -> None:
    """Results, tables and pictures of all points, from what they wrote."""
    from lowland.reports.files import read_results

    sweep = _of(_head(find(run.config["recipe"])), axes)
    names = [label(dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]
    rows = {name: read_results(run.folder / "sweep" / name) for name in names}
    for name in names:
        for row in rows[name]:
            run.results.append({**row, "claim": f"{row['claim']}, {name}"})
    if sweep.text:
        run.text(sweep.text)
    claims = list(dict.fromkeys((row["id"], row["claim"]) for found in rows.values() for row in found))
    for number, (system, claim) in enumerate(claims):
        if sweep.claims and claim not in sweep.claims:
            continue
        table = {
            name: {r["method"]: r for r in found if (r["id"], r["claim"]) == (system, claim)}
            for name, found in rows.items()
        }
        methods = list(dict.fromkeys(method for found in table.values() for method in found))
        run.section(claim[0].upper() + claim[1:])
        if len(axes) == 1:
            run.part(_draw, f"claim-{number}", claim, axes, table, methods)
        cells = [[method, *(_cell(table[name].get(method)) for name in names)] for method in methods]
        run.table(("method", *names), cells, f"{system}; mean ± standard deviation where there are several seeds")


def _draw(
    run: Run, name: str, claim: str, axes: Mapping[str, Sequence[Any]], table: Mapping[str, Any], methods: list[str]
) -> None:
    """The measure of each method against the option, where that is a number."""
    ((option, values),) = axes.items()
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return
    lines = {}
    for method in methods:
        found = [row.get(method, {}).get("measured") for row in table.values()]
        known = [(x, y) for x, y in zip(values, found, strict=True) if isinstance(y, (int, float))]
        if len(known) > 1:
            lines[method] = ([float(x) for x, _ in known], [float(y) for _, y in known])
    if lines:
        run.figure(name, curves(lines, xlabel=option.replace("_", " "), ylabel=claim[:60], title=""))


def _cell(row: Mapping[str, Any] | None) -> Any:
    if row is None:
        return None
    return row["measured"] if row["sd"] is None else (row["measured"], row["sd"])


def _of(head: Head | None, axes: Mapping[str, Any]) -> Sweep:
    """What the page of the recipe says of a sweep over one of its options."""
    known = (head.sweeps or {}) if head else {}
    if len(axes) == 1 and (name := next(iter(axes))) in known:
        return known[name]
    shared = [set(known[name].shared) if name in known else set() for name in axes]
    return Sweep(shared=tuple(sorted(set.intersection(*shared))) if shared else ())


def rewrite(folder: Path) -> Path:
    """Write the page of a run anew: from the `page.md` of its recipe, if that is known here, else as it was written.

    Nothing is computed. The page of a sweep is written from the pages of its points.

    Raises:
        CheckpointError: if the folder is not a run, or is damaged.
        OptionError: if `page.md` names what the run does not have.
    """
    run = Run.open(folder)
    entry = catalogue().get(run.config["recipe"])
    if entry is None or entry.page is None or not (folder / "values.json").is_file():
        return render(folder)
    if not run.axes:
        run.recorded = figures_on_record(entry)
        return run.refill(entry.page)
    for point in itertools.product(*run.axes.values()):
        Run.open(folder / "sweep" / label(dict(zip(run.axes, point, strict=True)))).refill(entry.page)
    _describe(run, run.axes)
    fill(run, run.axes)
    return run.write("finished")
