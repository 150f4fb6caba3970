"""Goals given as images: a world model in a latent space, learned from images and actions, and plans in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch

from lowland.data.frame import as_image, read_frame
from lowland.data.gym_log import GymLog
from lowland.data.gym_read import read_gym_log
from lowland.envs.rooms_trial import drivers, judge
from lowland.envs.two_rooms import LAYOUTS, Tasks, opposite_rooms, record_rooms
from lowland.errors import OptionError
from lowland.evaluation.latent_worlds import goal_plan, latent_diagnosis
from lowland.evaluation.success import wilson
from lowland.plots.curves import curves
from lowland.plots.rooms import paths_in_rooms, plan_to_goal
from lowland.recipes.base import Bound, Count, NotNegative, Positive, SeededRecipe, recipe, train
from lowland.reports.run import Run
from lowland.training.clips import clips
from lowland.training.export import save_world
from lowland.training.schedules import warm_cosine
from lowland.worlds.forward import ForwardModel
from lowland.worlds.latent import LatentWorld
from lowland.worlds.latent_training import LatentTraining


class Left(NamedTuple):
    """What the pictures need of a seed: the episodes that were tried, the paths by method, and the model's errors."""

    tasks: Tasks | None
    paths: Mapping[str, Any]
    errors: Mapping[str, Any]
    world: LatentWorld


@recipe
@dataclass(frozen=True)
class LatentRecipe(SeededRecipe):
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
    code: Count = 32
    """D, numbers of a code."""
    hidden: Count = 128
    """Units of a layer of the predictor."""
    updates: Count = 4000
    """Updates of a world, on 64 clips each."""
    clip: Count = 8
    """Steps of a clip, over which the prediction is unrolled."""
    rate: Positive = 0.002
    """Highest learning rate."""
    variance: NotNegative = 1.0
    """Weight of the variance term, of codes less the mean of their episode."""
    covariance: NotNegative = 1.0
    """Weight of the covariance term."""
    change: NotNegative = 0.3
    """Weight of the change from one code to the next."""
    inverse: NotNegative = 1.0
    """Weight of the inverse dynamics."""
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

    files: ClassVar[tuple[str, ...]] = ("log", "goal")
    stages: ClassVar[int] = 10
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "episodes": 8, "steps": 6, "size": 16, "code": 8, "hidden": 8, "updates": 4, "clip": 3, "seeds": 1,
            "horizon": 3, "samples": 4, "plan_steps": 1, "trials": 4, "limit": 3,
        },
        "random": {"layout": "random", "updates": 12000, "episodes": 4000},
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.log) != bool(self.goal):
            raise OptionError("log and goal belong together: name both, or neither for the rooms that are made here.")
        if self.clip > self.steps and not self.log:
            raise OptionError(f"clip must be at most steps, {self.steps}, but it is {self.clip}.")

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        log, held = self._logs(seed)
        world = self._learn(run, "world", log, seed, self.inverse)
        report = run.stage("diagnosis", partial(latent_diagnosis, world, clips(held, self.clip), self.seed + seed))
        errors = {name: report.pop(name) for name in ("model", "copy")}
        found: dict[str, dict[str, Any]] = {"learned": report | {"error": errors["model"][-1]}}
        found["copy"] = {"error": errors["copy"][-1]}
        if seed == 0:
            save_world(world, run.checkpoints / "world")
        if self.log:
            return found, Left(None, {}, errors, world)
        blind = self._learn(run, "blind", log, seed, 0.0)
        rooms = LAYOUTS[self.layout](self.trials, self.generator(70_000 + seed))
        tasks = opposite_rooms(rooms, 80_000 + 1000 * self.seed + seed)
        paths = {}
        search = {"samples": self.samples, "steps": self.plan_steps, "seed": 90_000 + self.seed + seed}
        for name, driver in drivers(world, blind, tasks, self.horizon, self.size, **search).items():
            result = run.stage(f"try/{name.replace(' ', '-')}", partial(judge, tasks, driver, self.limit, self.size))
            count = int(result["reached"].sum())
            _, low, high = (100 * value for value in wilson(count, self.trials))
            row = {"success": result["success"], "low": low, "high": high, "decision": result["decision"]}
            found.setdefault(name, {}).update(row)
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

    def _learn(self, run: Run, name: str, log: GymLog, seed: int, inverse: float) -> LatentWorld:
        data = clips(log, self.clip)
        height, width, channels = log.shape
        generator = self.generator(10 * seed)
        parts = log.paths[0]["actions"].shape[1]
        world = LatentWorld(
            (channels, height, width), self.code, actions=parts, hidden=self.hidden, generator=generator
        )  # fmt: skip
        energy = ForwardModel(world, {"image": torch.zeros(1, channels, height, width)}, self.clip)
        shaping = LatentTraining(
            self.code, parts, self.variance, self.covariance, self.change, inverse, seed=seed, generator=generator
        )  # fmt: skip
        options = {"batch_size": min(64, data.count), "lr": self.rate, "clip": 5.0, "seed": seed}

        def learn() -> dict[str, Any]:
            return train(
                energy, data, shaping, self.updates, schedule=partial(warm_cosine, self.updates), **options
            ).curves

        run.stage(name, learn, [world])
        return world.eval()

    def figures(self, run: Run, first: Left) -> None:
        run.show(own=bool(self.log))
        steps = range(1, self.clip + 1)
        names = {"model": "model", "copy": "copy of the last code"}
        lines = {names[name]: (steps, values) for name, values in first.errors.items()}
        run.figure("errors", curves(lines, xlabel="step", ylabel="share of the variance of codes"))
        if first.tasks is not None:
            shown = {name: first.paths[name] for name in ("MPPI", "oracle", "straight")}
            run.figure("paths", partial(paths_in_rooms, first.tasks, shown))
            return
        log = read_gym_log(self.log)
        start = as_image(log.paths[-1]["observation"][-1])
        goal = read_frame(self.goal, log.shape)
        found = goal_plan(first.world, start, goal, self.horizon, self.samples, self.seed)
        run.show(near=100 * float(found["distance"].min()))
        run.figure("plan", partial(plan_to_goal, start, goal, found))
