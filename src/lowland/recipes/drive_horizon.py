"""How far ahead a policy must look while it is trained (row W8): success by the length of the roll-out."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from lowland.envs.drivers import sanity_drivers
from lowland.errors import OptionError
from lowland.plots import curves
from lowland.recipes.base import recipe
from lowland.recipes.drive import DriveRecipe, drive
from lowland.recipes.drive_logs import read_logs
from lowland.recipes.drive_methods import DRIVERS, METHODS, MPUR
from lowland.recipes.drive_page import rates
from lowland.reports.run import Run

_PUBLISHED = {5: 58.3, 10: 59.2, 15: 75.2, 20: 74.9}
"""Of roll-outs of 10, 20, 30 and 40 steps of 0.1 s on I-80, by steps of 0.2 s: MPUR with z-dropout, table 2."""


@recipe(
    "drive-horizon",
    shows="How far must a policy look ahead, while it is trained through a model, to learn where its actions lead? "
    "Roll-outs of several lengths, and one test.",
    rows=("W8",),
    minutes=40,
    title="How far ahead to look",
)
@dataclass(frozen=True)
class DriveHorizonRecipe(DriveRecipe):
    """The recipe `drive` for one method, with roll-outs of several lengths."""

    methods: tuple[str, ...] = (MPUR.name,)
    """The method, one of those of `drive` that go through a model."""
    horizons: tuple[int, ...] = (1, 2, 5, 10, 15)
    """Lengths of the roll-out, in steps of 0.2 s."""
    real: bool = False
    """Also drive in the real US-101 recordings, where they are at hand or can be got."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": DriveRecipe.presets["smoke"] | {"methods": (MPUR.name,), "horizons": (1, 3)}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.methods) != 1 or not next(method for method in METHODS if method.name in self.methods).world:
            raise OptionError("drive-horizon takes one method, and one that is trained through a model.")
        if not self.horizons or min(self.horizons) < 1:
            raise OptionError("horizons must be whole numbers of at least 1 step.")
        if self.models:
            raise OptionError("drive-horizon trains its policies: leave out models.")

    def run(self, run: Run) -> None:
        (method,) = (method for method in METHODS if method.name in self.methods)
        logs = read_logs(self.tracks, self.cars, self.device, self.recordings)
        if not self.tracks:
            run.stand_in("Simulated traffic stands in for the recordings of I-80 that the published figures are of.")
        run.expect(2 + self.seeds * (1 + 2 * len(self.horizons)))
        steps = max(self.model_horizon, *self.horizons)
        pieces = logs.pieces(self.windows, steps, self.generator())
        courses = [logs.courses(self.episodes), []]
        drivers = sanity_drivers()
        data = f"{self.data}, {sum(len(course.episodes) for course in courses[0])} episodes"
        for name in ("human", "no action"):
            outcome = run.stage(f"test/{name.replace(' ', '-')}", partial(drive, courses, drivers[name]))
            share = 100 * float(rates([outcome]).mean())
            run.result(
                id="W8", claim="success", method=DRIVERS[name][0], measured=share, published=DRIVERS[name][2], data=data
            )
        found: dict[int, list[float]] = {horizon: [] for horizon in self.horizons}
        for seed in range(self.seeds):
            models = {method.world: self.world(run, method.world, pieces, seed)}
            for horizon in self.horizons:
                one = dataclasses.replace(self, horizon=horizon)
                policy = self.policy(method, seed)
                learn = partial(one.learn, method, policy, models, pieces, seed)
                run.stage(f"seed-{seed}/horizon-{horizon}/policy", learn, [policy])
                outcome = run.stage(f"seed-{seed}/horizon-{horizon}/test", partial(drive, courses, policy.eval()))
                found[horizon].append(100 * float(rates([outcome]).mean()))
        for horizon, values in found.items():
            run.result(
                id="W8", claim=f"success, roll-out of {0.2 * horizon:.1f} s", method=method.name,
                measured=statistics.fmean(values), sd=statistics.stdev(values) if len(values) > 1 else None,
                published=_PUBLISHED.get(horizon) if method is MPUR else None, seeds=self.seeds, data=data,
            )  # fmt: skip
        seconds = [0.2 * horizon for horizon in self.horizons]
        lines: dict[str, Any] = {
            method.name: (seconds, [statistics.fmean(found[horizon]) for horizon in self.horizons])
        }
        known = {horizon: figure for horizon, figure in _PUBLISHED.items() if horizon <= max(self.horizons)}
        if method is MPUR and known:
            lines["published, I-80"] = ([0.2 * horizon for horizon in known], list(known.values()))
        run.section("Success by the length of the roll-out")
        drawn = curves(lines, xlabel="length of the roll-out in training, s", ylabel="success, %")
        run.figure(
            "horizon", drawn, f"Held-out traffic, the mean of {self.seeds} seed(s). {self.policy_steps} updates each."
        )
