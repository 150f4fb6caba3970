"""Plans of plans: an upper level plans in long steps where to be, a lower one how to get there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

from lowland.data.gym_log import GymLog
from lowland.envs.rooms_trial import judge, level_drivers
from lowland.envs.two_rooms import Driver, Tasks, opposite_rooms, record_rooms, row_of_rooms
from lowland.evaluation.success import success_row
from lowland.planning.energy import PlanEnergy
from lowland.plots.curves import curves
from lowland.plots.rooms import paths_in_rooms
from lowland.recipes.base import Bound, Count, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.latent_worlds import LevelOptions, encoded, fit_upper, upper_world
from lowland.worlds.latent import LatentWorld
from lowland.worlds.latent_actions import StepDistance


@recipe
@dataclass(frozen=True)
class HierarchyRecipe(LevelOptions, SeededRecipe):
    """z* = argmin Σ_j d(h[j], h_goal) + ρ ‖z[j]‖², h[j+1] = G(h[j], z[j]);  a* = argmin Σ_t d(h[t], h*[1])."""

    walls: Annotated[int, Bound(least=1, most=5)] = 3
    """Walls in the row of rooms, whose doors are at the top and at the bottom by turns."""
    episodes: Annotated[int, Bound(least=4)] = 2500
    """Random walks of the log that is made."""
    steps: Count = 32
    """Actions of each."""
    size: Annotated[int, Bound(least=16)] = 32
    """Pixels of a side of its images."""
    trials: Count = 40
    """Episodes for each distance and seed."""
    limit: Count = 150
    """Actions after which an episode has failed."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 14
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "walls": 1, "episodes": 8, "steps": 6, "size": 16, "code": 8, "hidden": 8, "updates": 4, "clip": 3,
            "seeds": 1, "stride": 2, "latents": 2, "upper_hidden": 8, "upper_steps": 2, "upper_updates": 4,
            "upper_horizon": 2, "lower_horizon": 2, "flat": (2,), "between": 8, "calls": 32, "plan_steps": 1,
            "upper_plan_steps": 1, "trials": 2, "limit": 3,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_steps(self.steps)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], tuple[Tasks, Mapping[str, Any]]]:
        start = 1000 * self.seed + seed
        rooms = partial(row_of_rooms, walls=self.walls)
        log = record_rooms(rooms, self.episodes, self.steps, start, self.size)
        world = self._lower(run, log, seed)
        upper = upper_world(world, self.latents, self.upper_hidden, self.generator(10 * seed + 1))
        learn = partial(fit_upper, upper, log, self.stride, self.upper_steps, self.upper_updates, self.kl, seed)
        run.stage("upper", learn, [upper])
        upper.eval()
        distance = StepDistance(self.code)
        distance.fit(encoded(world, log), self.stride)
        found: dict[str, dict[str, Any]] = {}
        paths, tasks = {}, None
        for apart in range(1, self.walls + 1):
            tasks = opposite_rooms(rooms(self.trials), 80_000 + 10 * start + apart, apart)
            paths = {}
            for name, driver in self._drivers(world, upper, distance, tasks, seed).items():
                stage = f"try-{apart}/{name.replace(' ', '-')}"
                result = run.stage(stage, partial(judge, tasks, driver, self.limit, self.size))
                row = success_row(result["reached"]) | {"decision": result["decision"]}
                found.setdefault(name, {}).update({f"{key}-{apart}": value for key, value in row.items()})
                paths[name] = result["path"], result["reached"]
        assert tasks is not None
        return found, (tasks, paths)

    def _lower(self, run: Run, log: GymLog, seed: int) -> LatentWorld:
        generator = self.generator(10 * seed)
        world = self.new_world(log, generator)
        run.stage("world", lambda: self.fit_world(world, log, generator, seed).curves, [world])
        return world.eval()

    def _drivers(
        self, world: LatentWorld, upper: LatentWorld, distance: StepDistance, tasks: Tasks, seed: int
    ) -> dict[str, Driver]:
        likely, drawn = partial(distance.likely, self.likely), 90_000 + self.seed + seed
        above = PlanEnergy(upper, likely, self.upper_horizon, futures=0)
        below = PlanEnergy(world, distance, self.lower_horizon, futures=0)
        steps = self.upper_plan_steps, self.plan_steps
        return level_drivers(above, below, self.stride, self.flat, tasks, self.size, self.calls, steps, drawn)

    def figures(self, run: Run, first: tuple[Tasks, Mapping[str, Any]]) -> None:
        results, distances = run.measured, range(1, self.walls + 1)
        names, last = results.methods("success-1"), f"success-{self.walls}"
        flat = [name for name in names if name.startswith("flat")]
        best = results.best(last, flat, most=True)
        titles = [f"{k} wall{'s' if k > 1 else ''}" for k in distances]
        run.show(distances=[{"k": k, "text": title} for k, title in zip(distances, titles, strict=True)], best=best)
        for name, measure in (("arrived", "success"), ("time", "decision")):
            rows = [[_title(one), *(results.cell(one, f"{measure}-{k}", 1) for k in distances)] for one in names]
            run.table(["driver", *titles], rows, name=name)
        drawn = ("hierarchy", *flat, f"oracle {self.flat[-1]}")
        lines = {_title(name): results.curve(name, "success-{}", distances) for name in drawn}
        run.figure("success", partial(curves, lines, xlabel="walls between start and goal", ylabel="success, %"))
        tasks, paths = first
        run.figure("paths", partial(paths_in_rooms, tasks, {_title(name): paths[name] for name in ("hierarchy", best)}))


def _title(name: str) -> str:
    """A driver's name, in words.

    >>> _title("flat 16"), _title("oracle 64")
    ('flat plan of 16 steps', 'flat plan of 64 steps in the true rooms')
    """
    kind, _, steps = name.partition(" ")
    words = {"hierarchy": "two levels", "straight": "straight line (baseline)"}
    where = " in the true rooms" if kind == "oracle" else ""
    return words.get(kind) or f"flat plan of {steps} steps{where}"
