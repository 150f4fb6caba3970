"""Goals given as images: a world model in a latent space, learned from images and actions, and plans in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from lowland.data.frame import as_image, read_frame
from lowland.data.gym_log import GymLog
from lowland.data.gym_read import read_gym_log
from lowland.envs.rooms_trial import drivers, judge
from lowland.envs.two_rooms import LAYOUTS, Tasks, opposite_rooms, record_rooms
from lowland.errors import OptionError
from lowland.evaluation.latent_worlds import goal_plan, latent_diagnosis, place_probe
from lowland.evaluation.success import success_row
from lowland.plots.curves import curves
from lowland.plots.rooms import paths_in_rooms, plan_to_goal
from lowland.recipes.base import Bound, Count, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.clips import clips
from lowland.training.export import save_world
from lowland.training.latent_worlds import LatentOptions, compared_world, fit_compared
from lowland.worlds.latent import LatentWorld


class Left(NamedTuple):
    """What the pictures need of a seed: the episodes that were tried, the paths by method, and the model's errors."""

    tasks: Tasks | None
    paths: Mapping[str, Any]
    errors: Mapping[str, Any]
    world: LatentWorld


@recipe
@dataclass(frozen=True)
class LatentRecipe(LatentOptions, SeededRecipe):
    """E(h, a) = Σ_t ‖h[t] − h_goal‖² / D, h[t+1] = h[t] + f(h[t], a[t]), h = Enc(image); nothing is decoded."""

    layout: Literal["fixed", "random"] = "fixed"
    """The rooms: always the same wall, or another wall and door in each episode."""
    log: str = ""
    """Your own log (.npz) of images (N, H, W, C) and actions, in place of the rooms."""
    goal: str = ""
    """With a log: an image of the goal. The plan goes there from the last image of the log."""
    episodes: Annotated[int, Bound(least=4)] = 1500
    """Random walks of the log that is made."""
    steps: Count = 32
    """Actions of each."""
    size: Annotated[int, Bound(least=16)] = 32
    """Pixels of a side of its images."""
    horizon: Count = 20
    """Steps of a plan."""
    samples: Annotated[int, Bound(least=4)] = 128
    """Plans that MPPI and CEM compare at each of their steps."""
    plan_steps: Count = 3
    """Steps of the solver for each action."""
    trials: Count = 100
    """Episodes by which each driver is judged, from one room to the other."""
    limit: Count = 40
    """Actions after which an episode has failed."""
    compared: tuple[Literal["blind", "auto-encoder", "pixels"], ...] = ("blind", "auto-encoder", "pixels")
    """Other worlds to plan in: without inverse dynamics, with the codes of an auto-encoder, with pixels."""
    compared_updates: Count = 3000
    """Updates of the auto-encoder, and of the predictors of its codes and of pixels."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("log", "goal")
    stages: ClassVar[int] = 18
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "episodes": 8, "steps": 6, "size": 16, "code": 8, "hidden": 8, "updates": 4, "clip": 3, "seeds": 1,
            "horizon": 3, "samples": 4, "plan_steps": 1, "trials": 4, "limit": 3, "compared_updates": 4,
        },
        "random": {
            "layout": "random", "scene": 8, "hidden": 256, "updates": 12000, "episodes": 6000, "horizon": 28,
            "compared": ("blind",)},
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.log) != bool(self.goal):
            raise OptionError("log and goal belong together: name both, or neither for the rooms that are made here.")
        if not self.log:
            self.check_clip(self.steps)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        log, held = self._logs(seed)
        world = self._learn(run, "world", log, seed)
        report = run.stage("diagnosis", partial(latent_diagnosis, world, clips(held, self.clip), self.seed + seed))
        errors = {name: report.pop(name) for name in ("model", "copy")}
        found: dict[str, Any] = {"learned": report | {"error": errors["model"][-1]}}
        found["copy"] = {"error": errors["copy"][-1]}
        if seed == 0:
            save_world(world, run.checkpoints / "world")
        if self.log:
            return found, Left(None, {}, errors, world)
        others = {name: self._other(run, name, log, seed) for name in self.compared}
        for name, one in {"learned": world, **others}.items():
            probe = partial(place_probe, one, LAYOUTS[self.layout], self.size, 60_000 + seed)
            found.setdefault(name, {})["place"] = run.stage(f"probe/{name}", probe)
        rooms = LAYOUTS[self.layout](self.trials, self.generator(70_000 + seed))
        tasks, paths = opposite_rooms(rooms, 80_000 + 1000 * self.seed + seed), {}
        search = {"samples": self.samples, "steps": self.plan_steps, "seed": 90_000 + self.seed + seed}
        for name, driver in drivers(world, others, tasks, self.horizon, self.size, **search).items():
            result = run.stage(f"try/{name.replace(' ', '-')}", partial(judge, tasks, driver, self.limit, self.size))
            found.setdefault(name, {}).update(success_row(result["reached"]), decision=result["decision"])
            paths[name] = result["path"], result["reached"]
        return found, Left(tasks, paths, errors, world)

    def _logs(self, seed: int) -> tuple[GymLog, GymLog]:
        """The log to learn from, and the one to measure the model on."""
        if self.log:
            log = read_gym_log(self.log)
            log.check_control()
            clips(log, self.clip)
            read_frame(self.goal, log.shape)  # what cannot be used shows before anything is learned
            return log.split(0.15, self.seed)
        layout, start = LAYOUTS[self.layout], 1000 * self.seed + seed
        held = record_rooms(layout, max(8, self.episodes // 10), self.steps, 50_000 + start, self.size)
        return record_rooms(layout, self.episodes, self.steps, start, self.size), held

    def _learn(self, run: Run, name: str, log: GymLog, seed: int, weights: Any = None) -> LatentWorld:
        generator = self.generator(10 * seed)
        world = self.new_world(log, generator)
        run.stage(name, lambda: self.fit_world(world, log, generator, seed, weights).curves, [world])
        return world.eval()

    def _other(self, run: Run, name: Any, log: GymLog, seed: int) -> LatentWorld:
        """A world to compare with."""
        if name == "blind":
            return self._learn(run, name, log, seed, (*self.weights[:3], 0.0))
        generator = self.generator(10 * seed + 5)
        world = compared_world(name, self, log, generator)
        run.stage(name, partial(fit_compared, world, self, log, generator, self.compared_updates, seed), [world])
        return world.eval()

    def figures(self, run: Run, first: Left) -> None:
        run.show(own=bool(self.log))
        steps, names = range(1, self.clip + 1), {"model": "model", "copy": "copy of the last code"}
        lines = {names[name]: (steps, values) for name, values in first.errors.items()}
        run.figure("errors", curves(lines, xlabel="step", ylabel="share of the variance of codes"))
        if first.tasks is not None:
            kept = {name: first.paths[name] for name in ("MPPI", "oracle", "straight")}
            run.figure("paths", partial(paths_in_rooms, first.tasks, kept))
            return
        log = read_gym_log(self.log)
        start = as_image(log.paths[-1]["observation"][-1])
        goal = read_frame(self.goal, log.shape)
        found = goal_plan(first.world, start, goal, self.horizon, self.samples, self.seed)
        run.show(near=100 * float(found["distance"].min()))
        run.figure("plan", partial(plan_to_goal, start, goal, found))
