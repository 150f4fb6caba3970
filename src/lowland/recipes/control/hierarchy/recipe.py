"""Plans of plans: an upper level plans in long steps where to be, a lower one how to get there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch

from lowland.data.gym_log import GymLog
from lowland.envs.rooms_trial import OracleRooms, Planner, crowd, goal_planner, judge, straight
from lowland.envs.two_rooms import Driver, Tasks, opposite_rooms, record_rooms, row_of_rooms
from lowland.errors import OptionError
from lowland.evaluation.success import wilson
from lowland.planning.control import Controller
from lowland.planning.energy import PlanEnergy
from lowland.planning.hierarchy import Hierarchy
from lowland.plots.curves import curves
from lowland.plots.rooms import paths_in_rooms
from lowland.recipes.base import Bound, Count, NotNegative, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.solvers.base import Solver
from lowland.training.latent_worlds import LatentOptions, encoded, fit_upper, upper_world
from lowland.worlds.latent import LatentWorld, goal_cost
from lowland.worlds.latent_actions import StepDistance


class Left(NamedTuple):
    """What the pictures need of a seed: the episodes at the longest distance, and the paths by method."""

    tasks: Tasks
    paths: Mapping[str, Any]


@recipe
@dataclass(frozen=True)
class HierarchyRecipe(LatentOptions, SeededRecipe):
    """z* = argmin Σ_j d(h[j], h_goal) + ρ ‖z[j]‖², h[j+1] = G(h[j], z[j]);  a* = argmin Σ_t d(h[t], h*[1])."""

    walls: Annotated[int, Bound(least=1, most=5)] = 3
    """Walls in the row of rooms, whose doors are at the top and at the bottom by turns."""
    episodes: Annotated[int, Bound(least=4)] = 2500
    """Random walks of the log that is made."""
    steps: Count = 32
    """Actions of each."""
    size: Annotated[int, Bound(least=16)] = 32
    """Pixels of a side of its images."""
    code: Count = 16
    """D, numbers of a code."""
    between: Annotated[int, Bound(least=0)] = 16
    """Of these, numbers that must vary over all episodes: within one, few rooms are seen, and codes of others may be
    the same."""
    change: NotNegative = 5.0
    """Weight of the change from one code to the next."""
    updates: Count = 3000
    """Updates of the lower world, on 64 clips each."""
    stride: Count = 8
    """k, steps of the log for one step of the upper world."""
    latents: Count = 4
    """Numbers of z, the action of the upper world."""
    upper_hidden: Count = 256
    """Units of a layer of the upper predictor."""
    upper_steps: Count = 3
    """Upper steps over which its prediction is unrolled in training."""
    upper_updates: Count = 3000
    """Updates of the upper world, on 256 segments each."""
    kl: NotNegative = 0.05
    """Weight of the divergence of the latents from N(0, I)."""
    likely: NotNegative = 0.1
    """ρ, weight of ‖z‖² in an upper plan."""
    upper_horizon: Count = 10
    """Upper steps of a plan."""
    lower_horizon: Count = 10
    """Steps of the plan to where the upper one wants to be."""
    flat: tuple[Annotated[int, Bound(least=1)], ...] = (16, 32, 48)
    """Horizons of the flat plans to compare with."""
    calls: Annotated[int, Bound(least=16)] = 2560
    """Steps of a model for one action: half of them for each level, or all for the flat plan."""
    plan_steps: Count = 2
    """Steps of the solver, MPPI, for each action."""
    upper_plan_steps: Count = 4
    """Steps of the solver for each upper plan."""
    trials: Count = 40
    """Episodes for each distance and seed."""
    limit: Count = 100
    """Actions after which an episode has failed."""

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
        if self.clip > self.steps:
            raise OptionError(f"clip must be at most steps, {self.steps}, but it is {self.clip}.")
        if self.stride * self.upper_steps > self.steps:
            raise OptionError(
                f"An episode of {self.steps} steps does not hold {self.upper_steps} upper steps of {self.stride}: "
                "shorten stride or upper_steps, or lengthen steps."
            )

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
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
                _, low, high = (100 * value for value in wilson(int(result["reached"].sum()), self.trials))
                row = {"success": result["success"], "low": low, "high": high, "decision": result["decision"]}
                found.setdefault(name, {}).update({f"{key}-{apart}": value for key, value in row.items()})
                paths[name] = result["path"], result["reached"]
        assert tasks is not None
        return found, Left(tasks, paths)

    def _lower(self, run: Run, log: GymLog, seed: int) -> LatentWorld:
        generator = self.generator(10 * seed)
        world = self.new_world(log, generator)
        run.stage("world", lambda: self.fit_world(world, log, generator, seed).curves, [world])
        return world.eval()

    def _drivers(
        self, world: LatentWorld, upper: LatentWorld, distance: StepDistance, tasks: Tasks, seed: int
    ) -> dict[str, Driver]:
        """All with as many steps of a model for an action; an upper plan, made for k actions, has k times as many."""
        drawn, half = 90_000 + self.seed + seed, self.calls // 2

        def level(plan: PlanEnergy, solver: Solver, offset: int) -> Controller:
            return Controller(plan, solver, torch.Generator().manual_seed(drawn + offset))

        def search(calls: int, horizon: int, steps: int, deviation: float = 1.5) -> Solver:
            return crowd(max(4, calls // (steps * horizon)), steps, deviation=deviation)

        def flat(world: Any, horizon: int, cost: Any) -> Driver:
            solver = search(self.calls, horizon, self.plan_steps)
            return goal_planner(world, solver, horizon, tasks, self.size, torch.Generator().manual_seed(drawn), cost)

        far = PlanEnergy(upper, partial(distance.likely, self.likely), self.upper_horizon, futures=0)
        # Latents have a deviation of 1, and actions bounds of 1.
        above = level(far, search(self.stride * half, self.upper_horizon, self.upper_plan_steps, 1.0), 1)
        near = PlanEnergy(world, distance, self.lower_horizon, futures=0)
        below = level(near, search(half, self.lower_horizon, self.plan_steps), 0)
        found: dict[str, Driver] = {"hierarchy": Planner(world, Hierarchy(above, below, self.stride), tasks, self.size)}
        found |= {f"flat {horizon}": flat(world, horizon, distance) for horizon in self.flat}
        found |= {f"oracle {self.flat[-1]}": flat(OracleRooms(), self.flat[-1], goal_cost)}
        return found | {"straight": straight(tasks)}

    def figures(self, run: Run, first: Left) -> None:
        results, distances = run.measured, range(1, self.walls + 1)
        names, last = results.methods("success-1"), f"success-{self.walls}"
        flat = [name for name in names if name.startswith("flat")]
        best = results.best(last, flat, most=True)
        titles = [f"{k} wall{'s' if k > 1 else ''}" for k in distances]
        run.show(distances=[{"k": k, "text": title} for k, title in zip(distances, titles, strict=True)], best=best)
        for name, measure in (("success", "success"), ("time", "decision")):
            rows = [[_title(one), *(results.cell(one, f"{measure}-{k}", 1) for k in distances)] for one in names]
            run.table(["driver", *titles], rows, name=name)
        drawn = ("hierarchy", *flat, f"oracle {self.flat[-1]}")
        lines = {_title(name): results.curve(name, "success-{}", distances) for name in drawn}
        run.figure("success", partial(curves, lines, xlabel="walls between start and goal", ylabel="success, %"))
        shown = {_title(name): first.paths[name] for name in ("hierarchy", best)}
        run.figure("paths", partial(paths_in_rooms, first.tasks, shown))


def _title(name: str) -> str:
    """A driver's name, in words.

    >>> _title("flat 16"), _title("oracle 64")
    ('flat plan of 16 steps', 'flat plan of 64 steps in the true rooms')
    """
    kind, _, steps = name.partition(" ")
    words = {"hierarchy": "two levels", "straight": "straight line (baseline)"}
    where = " in the true rooms" if kind == "oracle" else ""
    return words.get(kind) or f"flat plan of {steps} steps{where}"
