"""What is in a log of traffic, what was wrong with it, and how hard it is to drive in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from lowland.data.logs import read_tracks
from lowland.data.tracks import Tracks
from lowland.data.traffic import TEST_SEEDS, traffic
from lowland.envs.drivers import sanity_drivers
from lowland.envs.episodes import replay_of
from lowland.errors import DataError
from lowland.evaluation.success import summary
from lowland.evaluation.traffic_log import LogSummary, describe, summarise
from lowland.plots.traffic_log import log_histograms, space_time
from lowland.recipes.base import Count, NotNegative, recipe
from lowland.recipes.log_options import LogOptions, show_faults
from lowland.reports.run import Run

ENDS = {"section": "the end of the section is reached", "recording": "the recording of the car ends"}
"""When an episode of a `Replay` is over, by its `until`."""


@recipe
@dataclass(frozen=True)
class LogRecipe(LogOptions):
    """Reads, cleans and measures a log, and replays it with drivers that learn nothing."""

    tracks: str = ""
    """File with the log: a table (NGSIM, highD, your own), CommonRoad, SUMO or Lowland's own; empty: test traffic."""
    episodes: Count = 300
    """Largest number of episodes of each driver."""
    seconds: NotNegative = 0.0
    """Read only this much of the beginning of the log; 0 for all of it."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("tracks",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"episodes": 8, "seconds": 60.0}}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_log(self.tracks, "--tracks")

    def run(self, run: Run) -> None:
        run.expect(1)
        log, faults = read_tracks(self.tracks, reading=self.reading) if self.tracks else (traffic("test")[0], [])
        own = f"{Path(self.tracks).name}, {len(log.vehicles):,} vehicles"
        run.show(source=own if self.tracks else f"simulated traffic, seed {TEST_SEEDS[0]}")
        if self.seconds:
            log = log.select((log.frame - log.frame.min()) * log.dt < self.seconds)
        outcomes = run.stage("drivers that learn nothing", partial(self._drive, log))
        drivers = outcomes.get("drivers", {})
        run.measured.add({name: {"success": round(100 * row["success"][0], 1)} for name, row in drivers.items()})
        found = summarise(log)
        run.show(error=outcomes.get("error", ""), until=outcomes.get("until", ""))
        run.show(log=describe(log, found), lanes_known=bool((log.lane >= 0).any()))
        run.part(_draw, log, found)
        show_faults(run, faults)
        columns = ("driver", "episodes", "success in %", "95 % from", "to", "distance in m", "ended by")
        run.table(columns, [_outcome(name, row) for name, row in drivers.items()], name="drivers")

    def _drive(self, log: Tracks) -> dict[str, Any]:
        try:
            replay = replay_of(log)
        except DataError as error:
            # A page on a log that is too short to drive in is still worth reading.
            return {"error": str(error)}
        chosen = torch.randperm(len(replay), generator=self.generator())[: self.episodes].sort().values
        rows = {name: summary(replay.run(driver, chosen)) for name, driver in sanity_drivers().items()}
        drivers = {name: {**row, "success": list(row["success"])} for name, row in rows.items()}
        return {"until": ENDS[replay.until], "drivers": drivers}


def _draw(run: Run, log: Tracks, found: LogSummary) -> None:
    if (log.lane >= 0).any():
        run.figure("space-time", partial(space_time, log))
    run.figure("histograms", partial(log_histograms, found))


def _outcome(name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    why = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
    return name, row["n"], *(round(100 * value, 1) for value in row["success"]), round(row["distance"], 1), why
