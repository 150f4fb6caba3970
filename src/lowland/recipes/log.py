"""What is in a log of traffic, what was wrong with it, and how hard it is to drive in (row W9)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from lowland.data.cleaning import Fault
from lowland.data.logs import read_tracks
from lowland.data.tracks import Tracks
from lowland.data.traffic import TEST_SEEDS, traffic
from lowland.envs.drivers import sanity_drivers
from lowland.envs.replay import Replay
from lowland.errors import DataError, OptionError
from lowland.evaluation.success import summary
from lowland.evaluation.traffic_log import LogSummary, summarise
from lowland.plots.traffic_log import histograms, space_time
from lowland.recipes.base import recipe
from lowland.recipes.log_options import LogOptions
from lowland.reports.run import Run
from lowland.words import verbatim


@recipe(
    "log",
    shows="A log of traffic before anything is learned from it: speeds, gaps, changes of lanes, a space-time diagram, "
    "what was wrong with the file, and how far one gets in it without learning.",
    rows=("W9",),
    minutes=1,
    title="What is in a log",
)
@dataclass(frozen=True)
class LogRecipe(LogOptions):
    """Reads, cleans and measures a log, and replays it with drivers that learn nothing."""

    tracks: str = ""
    """File with the log: a table (NGSIM, highD, your own), CommonRoad, SUMO or Lowland's own; empty: test traffic."""
    episodes: int = 300
    """Most episodes that each driver drives."""
    seconds: float = 0.0
    """Only so much of the beginning of the log; 0 for all of it."""

    files: ClassVar[tuple[str, ...]] = ("tracks",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"episodes": 8, "seconds": 60.0}}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_log(self.tracks, "--tracks")
        if self.episodes < 1 or not self.seconds >= 0:
            raise OptionError(
                f"episodes must be at least 1 and seconds at least 0, not {self.episodes} and {self.seconds:g}."
            )

    def run(self, run: Run) -> None:
        if self.tracks:
            log, faults = read_tracks(self.tracks, reading=self.reading)
            data = f"{Path(self.tracks).name}, {len(log.vehicles):,} vehicles"
        else:
            log, faults = traffic("test")[0], []
            data = f"simulated traffic, seed {TEST_SEEDS[0]}"
        if self.seconds:
            log = log.select((log.frame - log.frame.min()) * log.dt < self.seconds)
        run.expect(1)
        outcomes = run.stage("drivers that learn nothing", partial(self._drive, log))
        for name, row in outcomes.get("drivers", {}).items():
            rate = round(100 * row["success"][0], 1)
            run.result(id="W9", claim="success, in percent", method=name, measured=rate, data=data)
        found = summarise(log)
        if drivers := outcomes.get("drivers"):
            share = {name: f"{100 * row['success'][0]:.0f} %" for name, row in drivers.items()}
            run.finding(
                f"{len(log.vehicles):,} vehicles drive at {found.speed.mean():.1f} m/s by the mean. As in the log, a "
                f"car arrives in {share['human']} of the episodes; with no action, in {share['no action']}."
            )
        else:
            run.finding(f"{len(log.vehicles):,} vehicles, none of which is seen long enough to drive in its place.")
        run.part(self._content, log, found)
        run.part(_faults, faults)
        run.part(_drivers, outcomes)

    def _drive(self, log: Tracks) -> dict[str, Any]:
        try:
            replay, until = Replay(log), "the end of the section is reached"
        except DataError:
            try:
                replay, until = Replay(log, until="recording"), "the recording of the car ends"
            except DataError as error:
                # A page on a log that is too short to drive in is still worth reading.
                return {"error": str(error)}
        chosen = torch.randperm(len(replay), generator=self.generator())[: self.episodes].sort().values
        rows = {name: summary(replay.run(driver, chosen)) for name, driver in sanity_drivers().items()}
        return {
            "until": until,
            "drivers": {name: {**row, "success": list(row["success"])} for name, row in rows.items()},
        }

    def _content(self, run: Run, log: Tracks, found: LogSummary) -> None:
        road = log.road
        run.section("Traffic")
        length, lanes = road.length_to - road.length_from, f"{road.lanes} lane{'s' if road.lanes != 1 else ''}"
        run.text(
            f"**{verbatim(log.name or 'The log')}**: {len(log.vehicles):,} vehicles in {log.seconds:,.0f} s on "
            f"{length:,.0f} m of road with {lanes} of {road.lane_width:.2f} m, {1 / log.dt:g} frames a second, "
            f"{len(log):,} rows."
        )
        if log.reading:
            run.text(verbatim(log.reading, 0))
        stretches = np.diff(log.segments())[:, 0] * log.dt
        run.table(
            ("measure", "value"),
            [
                ("speed, mean and standard deviation", f"{found.speed.mean():.2f} ± {found.speed.std():.2f} m/s"),
                ("density", f"{found.density:.1f} vehicles per km and lane"),
                ("flow", f"{found.flow:,.0f} vehicles per hour and lane"),
                ("gap to the car ahead, median", _quantile(found.gap, 0.5, "m")),
                ("time headway, median", _quantile(found.headway, 0.5, "s")),
                ("acceleration, 99 % are below", _quantile(np.abs(found.acceleration), 0.99, "m/s²")),
                ("changes of lanes", f"{found.lane_changes:,}"),
                ("changes of lanes per kilometre driven", f"{found.lane_changes / max(found.kilometres, 1e-9):.2f}"),
                ("length of vehicles", f"{log.length.min():.1f} to {log.length.max():.1f} m"),
                ("seen without a gap", f"median {np.median(stretches):.1f} s, longest {stretches.max():.1f} s"),
            ],
        )
        if (log.lane >= 0).any():
            run.figure("space-time", partial(space_time, log), "Each line is a vehicle: the flatter, the slower")
        kept = {
            "speed in m/s": (found.speed, (0.0, max(float(np.quantile(found.speed, 0.999)), 1.0))),
            "gap to the car ahead in m": (found.gap, (0.0, 60.0)),
            "time headway in s": (found.headway, (0.0, 6.0)),
            "acceleration in m/s²": (found.acceleration, (-5.0, 5.0)),
        }
        run.figure(
            "histograms", partial(histograms, kept), "All rows of the log; what lies beyond an axis counts at its end"
        )


def _quantile(values: np.ndarray, share: float, unit: str) -> str:
    return f"{np.quantile(values, share):.2f} {unit}" if len(values) else "–"


def _faults(run: Run, faults: list[Fault]) -> None:
    run.section("Faults")
    if faults:
        run.table(
            ("fault", "count", "what was done"),
            [(fault.kind, fault.count, verbatim(fault.sentence, 0)) for fault in faults],
        )
    else:
        run.text("None was found: no gaps, frames that come twice, jumps, vehicles without a size, or other units.")


def _drivers(run: Run, outcomes: dict[str, Any]) -> None:
    run.section("Driving without learning")
    if "error" in outcomes:
        run.text(f"Nobody can drive in this log. {outcomes['error']}")
        return
    run.text(
        "One car at a time is taken out of the log's hands; the others replay it and do not react. An episode succeeds "
        f"if {outcomes['until']} without a collision and on the road. The **human** follows the log: less than 95 % "
        "there means that positions or sizes in the log are wrong. Where **no action** succeeds often, there is little "
        "to learn."
    )
    columns = ("driver", "episodes", "success in %", "95 % from", "to", "distance in m", "ended by")
    lines = []
    for name, row in outcomes["drivers"].items():
        rates = [round(100 * value, 1) for value in row["success"]]
        why = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
        lines.append((name, row["n"], *rates, round(row["distance"], 1), why))
    run.table(columns, lines, caption="Intervals are Wilson's.")
