"""What the page of `drive` shows: the film, bars, curves, what goes wrong, and tables of differences."""

from __future__ import annotations

import io
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lowland.envs.episodes import Episodes
from lowland.envs.replay import Policy, Replay
from lowland.envs.trajectory import record
from lowland.evaluation.success import mean_rate
from lowland.evaluation.verdict import verdict
from lowland.plots.bars import interval_bars, stacked_shares, value_pairs
from lowland.plots.curves import curves
from lowland.plots.style import BLUE, ORANGE
from lowland.plots.video import drive_video
from lowland.recipes.driving.common import success_rows
from lowland.recipes.driving.drive.policies import MPUR, PAIRS
from lowland.reports.run import Run
from lowland.systems import published

Found = Mapping[str, Sequence[Mapping[str, Any]]]
"""By driver, an outcome of each seed: rows of its `test` and `real` episodes, the `curves` of its training."""
SHOWN = ("human", "no action", "imitation", "VG", MPUR)
"""Drivers of the film, as far as they are there."""
ENDS = {"reached": "arrives", "time": "runs out of time", "off road": "leaves the road", "collision": "collides"}
COLOURS = {"arrives": "#009e73", "runs out of time": "#e6c04a", "leaves the road": "#7a5cc4", "collides": "#d55e00"}


def rates(found: Found, name: str, part: str = "test") -> np.ndarray:
    """Successes (S, N) as 0 and 1, for S seeds and N episodes."""
    return np.array([success_rows({"test": outcome[part]}) for outcome in found[name]])


def _percent(found: Found, name: str, part: str = "test") -> tuple[float, float, float]:
    """Success and its interval."""
    value, low, high = mean_rate(rates(found, name, part))
    return 100 * value, 100 * low, 100 * high


def differences(found: Found, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """For each pair, by how many points the first succeeds more often on the same episodes, and the word for it."""
    rows = []
    for first, second in pairs:
        (value, low, high), word = verdict(rates(found, first), rates(found, second), ("more", "less"))
        points = {"points": 100 * value, "low": 100 * low, "high": 100 * high}
        rows.append({"first": first, "second": second, **points, "word": word})
    return rows


def facts(run: Run, found: Found, main: str) -> None:
    """What the texts of the page say of the outcomes."""
    names = [name for name in SHOWN if name in found]
    names += [main] if main not in names else []
    ends = {name: [row["success"] for row in found[name][0]["test"]] for name in names}
    # One that tells methods apart, if there is one.
    number = max(range(len(ends[main])), key=lambda k: (ends[main][k], -sum(ends[name][k] for name in names)))
    rows = {name: found[name][0]["test"][number] for name in names}
    run.show(
        main=main,
        driven=names,
        scene=number,
        missed=sum(not row["success"] for row in rows.values()),
        arrives=bool(rows[main]["success"]),
        endings=[f"{name}: {ENDS.get(row['reason'], row['reason'])}" for name, row in rows.items()],
        failed=[[name, row] for name, row in _failed(found, main)],
        against=differences(found, [(main, name) for name in found if name != main]),
        pairs=differences(found, [pair for pair in PAIRS if set(pair) <= set(found)]),
        through=run.measured.methods("predicted"),
        costs={name: values for name, (one, *_) in found.items() if (values := one.get("curves", {}).get("cost"))},
    )


def _failed(found: Found, main: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Up to two episodes of each of the methods that are compared first."""
    names = [name for name in dict.fromkeys((main, "VG", "imitation")) if name in found]
    return [(name, row) for name in names for row in [one for one in found[name][0]["test"] if not one["success"]][:2]]


def judged(run: Run, name: str) -> None:
    """The table of these differences."""
    words = {"more": "arrives more often", "less": "arrives less often"}
    cells = [
        [f"{row['first']} against {row['second']}", *(round(row[end], 1) for end in ("points", "low", "high")),
         run.word(str(words.get(row["word"], row["word"])))]
        for row in run.shown[name]
    ]  # fmt: skip
    if cells:
        run.table(("drivers", "points", "from", "to", "verdict"), cells, name=name)


def draw(run: Run, found: Found, drivers: Mapping[str, Any], episodes: Sequence[Episodes]) -> None:
    """All pictures; films and what goes wrong are those of the first seed."""
    run.video(partial(_film, run, found, drivers, episodes))
    colours = {name: ORANGE if name.startswith("MPUR") else BLUE for name in found if name in run.shown["trained"]}
    intervals = {name: _percent(found, name) for name in found}
    known = {name: published("W8", key) for name, key in run.shown["cited"].items()}
    marked = any(value is not None for value in known.values())
    label = "success, %   (circles: published, on I-80)" if marked else "success, %"
    run.figure("success", lambda: interval_bars(intervals, xlabel=label, colours=colours, marks=known, most=100))
    counts = {
        name: {words: sum(row["reason"] == reason for one in outcomes for row in one["test"])
               for reason, words in ENDS.items()}
        for name, outcomes in found.items()
    }  # fmt: skip
    run.figure("ends", lambda: stacked_shares(counts, xlabel="share of episodes, %", colours=COLOURS))
    _failures(run, drivers, episodes)
    _exploitation(run, colours)
    _training(run)
    if run.shown["count_real"]:
        _real(run, found)
    for name in ("against", "pairs"):
        judged(run, name)


def _film(run: Run, found: Found, drivers: Mapping[str, Any], episodes: Sequence[Episodes]) -> Path:
    """The same scene for each driver."""
    row = found[run.shown["main"]][0]["test"][run.shown["scene"]]
    replay, folder = episodes[row["recording"]].replay, run.folder / "figures"
    folder.mkdir(exist_ok=True)
    trajectories = [record(replay, drivers[name], row["episode"], name) for name in run.shown["driven"]]
    return drive_video(folder / "drive.mp4", trajectories, longest=run.config["options"]["film"])


def _failures(run: Run, drivers: Mapping[str, Any], episodes: Sequence[Episodes]) -> None:
    """The last moment of some episodes that went wrong."""
    items = [
        (partial(_end, episodes[row["recording"]].replay, drivers[name], row["episode"], name),
         f"{name}: {ENDS.get(row['reason'], row['reason'])} after {row['seconds']:.1f} s and {row['distance']:.0f} m")
        for name, row in run.shown["failed"]
    ]  # fmt: skip
    if items:
        run.grid("failures", items, 2)


def _end(replay: Replay, driver: Policy, episode: int, name: str) -> bytes:
    """A picture of the last moment, as PNG."""
    trajectory, file = record(replay, driver, episode, name), io.BytesIO()
    Image.fromarray(trajectory.picture(trajectory.seconds, (720, 224), 70.0)).save(file, "PNG")
    return file.getvalue()


def _exploitation(run: Run, colours: Mapping[str, str]) -> None:
    names = run.shown["through"]
    if not names:
        return
    panels = {
        label: {name: (run.measured.mean(name, first) or 0.0, run.measured.mean(name, second) or 0.0) for name in names}
        for label, (first, second) in {
            "cost of a step": ("predicted", "realised"),
            "uncertainty, deviations": ("uncertainty", "realised_uncertainty"),
        }.items()
    }
    run.figure("exploitation", lambda: value_pairs(panels, colours=colours))


def _training(run: Run) -> None:
    steps, costs = run.config["options"]["policy_steps"], run.shown["costs"]
    lines = {
        name: ([steps * (k + 1) / len(values) for k in range(len(values))], _smooth(values))
        for name, values in costs.items()
    }
    if lines:
        run.figure("training", lambda: curves(lines, xlabel="updates", ylabel="cost of a roll-out"))


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


def _smooth(values: Sequence[float], width: int = 5) -> list[float]:
    return [statistics.fmean(values[max(0, k - width + 1) : k + 1]) for k in range(len(values))]


def _real(run: Run, found: Found) -> None:
    rows = []
    for name, outcomes in found.items():
        ends = Counter(row["reason"] for outcome in outcomes for row in outcome["real"])
        interval = _percent(found, name, "real")
        rows.append([name, len(outcomes[0]["real"]), *interval, ends.get("collision", 0), ends.get("off road", 0)])
    columns = ("driver", "episodes", "success, %", "from", "to", "collisions", "off road")
    run.table(columns, rows, name="real")
