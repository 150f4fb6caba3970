"""What the page of `drive` shows: the film, bars, curves, what goes wrong, and tables of differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lowland.envs.episodes import Episodes
from lowland.evaluation.driving import ENDS, Rows, compare_success, percent, telling_episode
from lowland.planning.policy_methods import MPUR, PAIRS
from lowland.plots.bars import interval_bars, value_pairs
from lowland.plots.curves import curves
from lowland.plots.driving import episode_ends, film_drivers, last_moment
from lowland.plots.style import BLUE, ORANGE
from lowland.recipes.catalogue import USUAL, Entry
from lowland.recipes.record import figures_on_record
from lowland.reports.run import Run
from lowland.systems import published

Found = Mapping[str, Sequence[Mapping[str, Any]]]
"""By driver, an outcome of each seed: rows of its `test` and `real` episodes, the `curves` of its training."""
SHOWN = ("human", "no action", "imitation", "VG", MPUR)
"""Drivers of the film, as far as they are there."""
KNOWN = "pixels"
"""The preset that sees images and moves the own car by its known kinematics."""


def driven(found: Found, part: str = "test") -> dict[str, list[Rows]]:
    """The rows of each seed, by driver."""
    return {name: [outcome[part] for outcome in outcomes] for name, outcomes in found.items()}


def facts(run: Run, found: Found, main: str) -> None:
    """What the texts of the page say of the outcomes."""
    tests = driven(found)
    first = {name: tests[name][0] for name in dict.fromkeys((*SHOWN, main)) if name in found}
    number = telling_episode(first, main)
    rows = {name: each[number] for name, each in first.items()}
    # Up to two episodes of each of the methods that are compared first.
    compared = [name for name in dict.fromkeys((main, "VG", "imitation")) if name in found]
    failed = [(name, [row for row in tests[name][0] if not row["success"]][:2]) for name in compared]
    run.show(
        main=main,
        driven=list(first),
        scene=number,
        missed=sum(not row["success"] for row in rows.values()),
        arrives=bool(rows[main]["success"]),
        endings=[f"{name}: {ENDS.get(row['reason'], row['reason'])}" for name, row in rows.items()],
        failed=[[name, row] for name, few in failed for row in few],
        against=compare_success(tests, [(main, name) for name in found if name != main]),
        pairs=compare_success(tests, [pair for pair in PAIRS if set(pair) <= set(found)]),
        through=run.measured.methods("predicted"),
        promising=run.measured.methods("promised"),
        costs={name: values for name, (one, *_) in found.items() if (values := one.get("curves", {}).get("cost"))},
    )


def known_car(entry: Entry) -> tuple[dict[str, Any], str]:
    """Figures on record with known kinematics of the own car, and their preset.

    They are those of `pixels`, which sees the same images as `paper`, and while it has no record those of the usual
    preset, which sees numbers.
    """
    preset = KNOWN if KNOWN in entry.recorded else USUAL
    return figures_on_record(entry, preset), preset


def beside(run: Run, found: Found, known: Mapping[str, Any], preset: str) -> None:
    """The table `beside`: success on record with a known own car, and of this run, in which the model predicts it.

    Args:
        run: whose table it is.
        found: the outcomes.
        known: the figures on record, as of `recipes.record.figures_on_record`.
        preset: that they are of.
    """
    rows = []
    for name in found:
        earlier = known.get(f"W8\tsuccess\t{name}")
        if earlier is not None and "curves" in found[name][0]:
            costs = ("predicted", "realised") if name in run.measured.methods("predicted") else ()
            values = [run.measured.mean(name, measure) for measure in ("success", *costs)]
            rows.append([name, earlier, *values, *[None] * (3 - len(values))])
    run.show(beside=len(rows), known_from=preset)
    if rows:
        first = f"known own car, record of {preset}, %"
        columns = ("policy", first, "learned own car, %", "predicted cost", "realised cost")
        run.table(columns, rows, name="beside")


def draw(run: Run, found: Found, drivers: Mapping[str, Any], episodes: Sequence[Episodes]) -> None:
    """All pictures; films and what goes wrong are those of the first seed."""
    shown, tests, mean = run.shown, driven(found), run.measured.mean
    scene = tests[shown["main"]][0][shown["scene"]]
    filmed = {name: drivers[name] for name in shown["driven"]}
    film, replay = run.folder / "figures" / "drive.mp4", episodes[scene["recording"]].replay
    run.video(partial(film_drivers, film, replay, filmed, scene["episode"], run.config["options"]["film"]))
    colours = {name: ORANGE if name.startswith("MPUR") else BLUE for name in found if name in shown["trained"]}
    known = {name: published("W8", key) for name, key in shown["cited"].items()}
    marked = any(value is not None for value in known.values())
    label = "success, %   (circles: published, on I-80)" if marked else "success, %"
    intervals = {name: percent(seeds) for name, seeds in tests.items()}
    run.figure("success", lambda: interval_bars(intervals, xlabel=label, colours=colours, marks=known, most=100))
    rows = {name: [row for each in seeds for row in each] for name, seeds in tests.items()}
    run.figure("ends", lambda: episode_ends(rows))
    _failures(run, drivers, episodes)
    if names := shown["through"]:
        measures = {"cost of a step": ("predicted", "realised"),
                    "uncertainty, deviations": ("uncertainty", "realised_uncertainty")}  # fmt: skip
        panels = {
            label: {name: (mean(name, first) or 0.0, mean(name, second) or 0.0) for name in names}
            for label, (first, second) in measures.items()
        }
        run.figure("exploitation", lambda: value_pairs(panels, colours=colours))
    first = dict.fromkeys(("VG", shown["main"], *shown["promising"]))
    if pair := [name for name in first if name in shown["promising"]][:2]:
        _promises(run, pair)
    if shown["costs"]:
        steps = run.config["options"]["policy_steps"]
        lines = {
            name: ([steps * (k + 1) / len(values) for k in range(len(values))], values)
            for name, values in shown["costs"].items()
        }
        run.figure("training", lambda: curves(lines, xlabel="updates", ylabel="cost of a roll-out", smooth=5))
    if shown["count_real"]:
        _real(run, found)
    for name in ("against", "pairs"):
        _judged(run, name)


def _promises(run: Run, names: Sequence[str]) -> None:
    """Promised and realised cost of each step of a roll-out, for two policies."""
    lines = {}
    for name in names:
        for word, measure in (("promised", "promised"), ("realised", "absorbing")):
            steps = [step for step in range(run.config["options"]["horizon"])
                     if run.measured.has(name, f"{measure}-{step}")]  # fmt: skip
            values = [run.measured.mean(name, f"{measure}-{step}") or 0.0 for step in steps]
            lines[f"{name}, {word}"] = ([run.shown["dt"] * (step + 1) for step in steps], values)
    run.figure("promises", lambda: curves(lines, xlabel="seconds of a roll-out", ylabel="cost of a step"))


def _failures(run: Run, drivers: Mapping[str, Any], episodes: Sequence[Episodes]) -> None:
    """The last moment of some episodes that went wrong."""
    items = [
        (partial(last_moment, episodes[row["recording"]].replay, drivers[name], row["episode"], name),
         f"{name}: {ENDS.get(row['reason'], row['reason'])} after {row['seconds']:.1f} s and {row['distance']:.0f} m")
        for name, row in run.shown["failed"]
    ]  # fmt: skip
    if items:
        run.grid("failures", items, 2)


def _real(run: Run, found: Found) -> None:
    rows = []
    for name, seeds in driven(found, "real").items():
        ends = Counter(row["reason"] for each in seeds for row in each)
        rows.append([name, len(seeds[0]), *percent(seeds), ends.get("collision", 0), ends.get("off road", 0)])
    columns = ("driver", "episodes", "success, %", "from", "to", "collisions", "off road")
    run.table(columns, rows, name="real")


def _judged(run: Run, name: str) -> None:
    """The table of these differences."""
    words = {"more": "arrives more often", "less": "arrives less often"}
    cells = [
        [f"{row['first']} against {row['second']}", *(round(row[end], 1) for end in ("points", "low", "high")),
         run.word(str(words.get(row["word"], row["word"])))]
        for row in run.shown[name]
    ]  # fmt: skip
    if cells:
        run.table(("drivers", "points", "from", "to", "verdict"), cells, name=name)


def errors_ahead(run: Run, steps: int) -> None:
    """Errors of the models and of the baseline by time ahead."""
    if not run.shown["modelled"]:
        return
    seconds = [run.shown["dt"] * (step + 1) for step in range(steps)]
    lines = {
        name: (seconds, [run.measured.mean(name, f"error-{step}") or 0.0 for step in range(steps)])
        for name in (*run.shown["modelled"], run.shown["baseline"])
    }
    run.figure("errors", lambda: curves(lines, xlabel="seconds ahead", ylabel=run.shown["error"]))
