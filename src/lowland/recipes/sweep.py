"""One recipe over several values of its options, on one page: `lowland run drive --sweep horizon=1,2,5`.

Each point of the sweep is a run of its own in the folder of the sweep. What a point shares with the others, because it
does not depend on the swept options, is computed once: the head of the page names these stages (`[sweeps.OPTION]`).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from lowland.checksums import read_json
from lowland.errors import OptionError, nearest
from lowland.plots import curves
from lowland.recipes.base import Recipe, execute, load, start
from lowland.recipes.catalogue import catalogue, find
from lowland.recipes.record import figures_on_record
from lowland.reports.files import read_results
from lowland.reports.head import Head, Sweep
from lowland.reports.page import render as render_page
from lowland.reports.results import Results
from lowland.reports.run import Run
from lowland.reports.template import render

Axes = dict[str, list[Any]]


def parse_axes(cls: type[Recipe], words: Sequence[str]) -> Axes:
    """The axes of a sweep from words such as "horizon=1,2,5".

    Raises:
        OptionError: for a word that is not OPTION=VALUE,VALUE, an unknown option, or a value of another kind.
    """
    axes: Axes = {}
    known = {field.name: field.default for field in dataclasses.fields(cls)}
    kinds = typing.get_type_hints(cls)
    for word in words:
        name, _, values = word.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if name not in known:
            raise OptionError(f"The recipe {cls.entry.name} has no option {name!r} to sweep. {nearest(name, known)}")
        found = [_value(name, text.strip(), known[name], kinds[name]) for text in values.split(",") if text.strip()]
        if len(found) < 2 or len(set(map(str, found))) < len(found) or name in axes:
            raise OptionError(
                f"--sweep {word} must be an option with two or more different values: --sweep {name}=A,B."
            )
        axes[name] = found
    return axes


def _value(name: str, text: str, default: Any, hint: Any) -> Any:
    kind = type(default)
    if text.lower() == "none" and type(None) in typing.get_args(hint):
        return None
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind in (int, float, str):
            return kind(text)
    except (ValueError, KeyError):
        raise OptionError(f"{name} cannot be {text!r} in a sweep: its default is {default!r}.") from None
    raise OptionError(f"{name} cannot be swept: only options with one number, word or true/false can.")


def with_defaults(config: Recipe, axes: Mapping[str, Any]) -> Recipe:
    """The recipe with the other defaults that its page gives to this sweep; what the user sets comes after."""
    return config.from_options(dataclasses.asdict(config) | dict(_of(config.entry.head, axes).options or {}))


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
    found = _of(entry.head, axes)
    title = found.title or f"{entry.head.title}: {', '.join(axes)}"
    run.describe(title, found.shows or entry.head.shows, found.systems or entry.head.systems)


def points(config: Recipe, axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The options that each point sets, in order; the last axis runs fastest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def execute_sweep(config: Recipe, axes: Axes, run: Run) -> Run:
    """Run every point that has not finished yet, and write the page of all."""
    shared = _of(config.entry.head, axes).shared
    with run:
        run.expect(len(points(config, axes)))
        for point in points(config, axes):
            run.doing(label(point))
            one = run.point(label(point), config.entry.name, dataclasses.asdict(dataclasses.replace(config, **point)))
            one.share(run.folder, shared)
            if one.finished:
                continue
            one.describe(run.title, config.entry.head.shows, config.entry.head.systems, config.entry.page)
            execute(dataclasses.replace(config, **point), one)
        fill(run, axes)
    return run


def label(point: Mapping[str, Any]) -> str:
    """How a point is called, on the page and as a folder.

    >>> label({"horizon": 5, "hinge": False})
    'horizon=5 hinge=False'
    """
    return " ".join(f"{name}={value}" for name, value in point.items())


class Point(NamedTuple):
    """One point of a finished sweep, as texts of the page read it.

    Attributes:
        label: such as "horizon=5".
        o: its options.
        r: what it measured, a `Results`.
        shown: further values that the recipe gave to its page.
        tables: those that it made, by name.
        rows: of its `results.json`.
    """

    label: str
    o: SimpleNamespace
    r: Results
    shown: Mapping[str, Any]
    tables: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]


def fill(run: Run, axes: Mapping[str, Sequence[Any]]) -> None:
    """Results, tables and pictures of all points, from what they wrote."""
    sweep = _of(find(run.config["recipe"]).head, axes)
    found = [_point(run, dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]
    for point in found:
        kept = [row for row in point.rows if not sweep.claims or row["claim"] in sweep.claims]
        run.results += [{**row, "claim": f"{row['claim']}, {point.label}"} for row in kept]
    names = {"points": found, "conclusive": run.conclusive}
    if sweep.finding:
        run.finding(" ".join(render(sweep.finding, names, "The finding of the sweep").split()))
    if sweep.text:
        run.text(render(sweep.text, names, "The text of the sweep"))
    for name in sweep.tables:
        _stack(run, name, found)
    usual = label({name: run.config["options"][name] for name in axes})
    heads = [f"{point.label} (default)" if point.label == usual else point.label for point in found]
    claims = list(dict.fromkeys((row["id"], row["claim"]) for point in found for row in point.rows))
    for number, (system, claim) in enumerate(claims):
        if sweep.claims and claim not in sweep.claims:
            continue
        table = [{r["method"]: r for r in point.rows if (r["id"], r["claim"]) == (system, claim)} for point in found]
        methods = list(dict.fromkeys(method for rows in table for method in rows))
        run.section(claim[0].upper() + claim[1:])
        if len(axes) == 1:
            run.part(_draw, f"claim-{number}", claim, axes, table, methods)
        cells = [[method, *(_cell(rows.get(method)) for rows in table)] for method in methods]
        run.table(("method", *heads), cells, "Mean ± standard deviation, if there are several seeds.")


def _point(run: Run, point: Mapping[str, Any]) -> Point:
    """What a point wrote; data that stand in for others are named on the page of the sweep as well."""
    folder = run.folder / "sweep" / label(point)
    values = read_json(folder / "values.json", keys=("results", "shown", "elements", "stand_ins", "seconds"))
    options = read_json(folder / "config.json", keys=("options",))["options"]
    run.elsewhere += values["seconds"]
    for sentence in values["stand_ins"]:
        run.stand_in(sentence)
    tables = {one["name"]: one for one in values["elements"] if one["kind"] == "table"}
    results = Results(values["results"])
    return Point(label(point), SimpleNamespace(**options), results, values["shown"], tables, read_results(folder))


def _stack(run: Run, name: str, found: Sequence[Point]) -> None:
    """The table of that name of all points that have it, row below row."""
    having = [point for point in found if name in point.tables]
    if having:
        first = having[0].tables[name]
        rows = [[point.label, *row] for point in having for row in point.tables[name]["rows"]]
        run.table(("", *first["columns"]), rows, first["caption"])


def _draw(
    run: Run,
    name: str,
    claim: str,
    axes: Mapping[str, Sequence[Any]],
    table: Sequence[Mapping[str, Any]],
    methods: list[str],
) -> None:
    """The measure of each method against the option, where that is a number."""
    ((option, values),) = axes.items()
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return
    lines = {}
    for method in methods:
        found = [rows.get(method, {}).get("measured") for rows in table]
        known = [(x, y) for x, y in sorted(zip(values, found, strict=True)) if isinstance(y, (int, float))]
        if len(known) > 1:
            lines[method] = ([float(x) for x, _ in known], [float(y) for _, y in known])
    if lines:
        run.figure(name, curves(lines, xlabel=option.replace("_", " "), ylabel=claim[:60], title=""))


def _cell(row: Mapping[str, Any] | None) -> Any:
    if row is None:
        return None
    return row["measured"] if row["sd"] is None else (row["measured"], row["sd"])


def _of(head: Head | None, axes: Mapping[str, Any]) -> Sweep:
    """What the page of the recipe says of a sweep over some of its options; of several, what holds for each."""
    known = (head.sweeps or {}) if head else {}
    found = [known.get(name, Sweep()) for name in axes]
    if len(found) == 1:
        return found[0]
    options = {name: value for one in found for name, value in (one.options or {}).items() if name not in axes}
    shared, tables, claims = (
        tuple(name for name in getattr(found[0], part) if all(name in getattr(one, part) for one in found))
        for part in ("shared", "tables", "claims")
    )
    return Sweep(options=options, shared=shared, tables=tables, claims=claims)


def rewrite(folder: Path) -> Path:
    """Write the page of a run anew: from the `page.md` of its recipe, if that is known here, else as it was written.

    Nothing is computed. The page of a sweep is written from the pages of its points.

    Raises:
        CheckpointError: if the folder is not a run, or is damaged.
        OptionError: if `page.md` names what the run does not have.
    """
    run = Run.open(folder)
    entry = catalogue().get(run.config["recipe"])
    if entry is None or not os.path.lexists(folder / "values.json"):
        return render_page(folder)
    if not run.axes:
        # A run of an earlier version lacks the options that came later.
        run.config["options"] = dataclasses.asdict(load(entry.name).from_options(run.config["options"]))
        run.recorded = figures_on_record(entry, run.config["preset"])
        return run.refill(entry.page)
    for point in itertools.product(*run.axes.values()):
        rewrite(folder / "sweep" / label(dict(zip(run.axes, point, strict=True))))
    _describe(run, run.axes)
    fill(run, run.axes)
    return run.write("finished")
