"""A pendulum that learns to swing up from random actions, and what an uncertainty cost does where data are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lowland.data.gym_log import outside
from lowland.data.gym_record import record_gym_log
from lowland.envs.pendulum import LAST, PENDULUM, SECONDS, angle, swing_cost, swung_up
from lowland.envs.plant import PlantRuns, run_plant
from lowland.evaluation.forward_models import error_ahead
from lowland.planning.backprop_through_model import BackpropThroughModel
from lowland.planning.control import Controller
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Policy
from lowland.plots.pendulum import cost_under_policy, swinging, uncertainty_panels
from lowland.plots.video import write_video
from lowland.recipes.base import Bound, Count, NotNegative, Positive, SeededRecipe, recipe, train
from lowland.reports.run import Run
from lowland.shaping.base import Batch
from lowland.solvers.icem import ICEM
from lowland.training.ensembles import fit_ensemble
from lowland.training.schedules import cosine
from lowland.worlds.base import State
from lowland.worlds.uncertainty import Ensemble, Spread
from lowland.worlds.vector import VectorWorld

REGION = (0.5, 1.8)
"""The withheld region: angles from upright in rad, on one side, at any speed."""
WINDOW, AHEAD = 3, 10
"""Steps of a segment of the log on which the model is trained, and of the roll-outs that are scored."""


class Left(NamedTuple):
    """What the pictures need of a seed: observations by method, and each policy with the plan it was trained in."""

    paths: Mapping[str, Tensor]
    trained: Mapping[str, tuple[Policy, PlanEnergy]]


@recipe
@dataclass(frozen=True)
class PendulumRecipe(SeededRecipe):
    """Pendulum-v1 of Gymnasium: 2 N m are too weak to lift the pendulum without swinging. Steps of 0.05 s."""

    log: Annotated[int, Bound(least=400)] = 20_000
    """Transitions of the log, with actions drawn uniformly."""
    seeds: Count = 2
    """Repetitions, each with its own log, models and policies."""
    members: Annotated[int, Bound(least=2)] = 4
    """Networks of the model; their variance is its uncertainty."""
    hidden: Count = 64
    """Units of a layer of each network."""
    updates: Count = 700
    """Updates of each network, on 128 segments of the log."""
    policy_updates: Count = 200
    """Updates of each policy, on 64 imagined episodes, without the uncertainty cost."""
    further_updates: Count = 150
    """Further updates, once without and once with the uncertainty cost."""
    horizon: Count = 60
    """Steps of an imagined episode, 0.05 s each: long enough for one swing more, round the withheld region."""
    uncertainty: Positive = 0.5
    """Weight of the uncertainty cost, in units of the cost per standard deviation of the usual uncertainty."""
    hinge: NotNegative = 3.0
    """Uncertainty that is free of cost, in the same deviations."""
    episodes: Count = 50
    """Real episodes by which each policy is judged."""
    planned: Count = 10
    """Real episodes of the planner."""
    samples: Annotated[int, Bound(least=10)] = 48
    """Plans that the planner compares at each of its 4 steps."""
    length: Annotated[int, Bound(least=LAST + 1)] = 180
    """Steps of a real episode."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 10
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "log": 600, "seeds": 1, "members": 2, "hidden": 16, "updates": 10, "policy_updates": 3,
            "further_updates": 2, "horizon": 5, "episodes": 3, "planned": 1, "samples": 16, "length": 60,
        }
    }  # fmt: skip

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        log = record_gym_log(PENDULUM, self.log, seed=1000 * self.seed + seed)
        found: dict[str, Any] = run.stage("baselines", partial(self._baselines, seed))
        trained = {}
        for kind, paths in {"full": log.paths, "withheld": outside(log.paths, inside, WINDOW)}.items():
            world = self._world(seed)
            learned = run.stage(f"model-{kind}", partial(self._learn, world, paths, seed), [world])
            spread = Spread(learned["mean"], learned["deviation"])
            starts = torch.cat([path["observation"][:-1] for path in paths])
            first, plain = self._policy(world, seed), self._plan(world, spread, 0.0)
            begin = partial(self._train, plain, first, starts, seed, self.policy_updates)
            run.stage(f"policy-{kind}", begin, [first])
            for weight in (0.0, self.uncertainty):
                policy, plan = self._policy(world, seed), self._plan(world, spread, weight)
                policy.load_state_dict(first.state_dict())
                name = f"{kind}-{'careful' if weight else 'plain'}"
                work = partial(self._through, plan, policy, starts, seed, kind)
                found[name] = run.stage(f"policy-{name}", work, [policy])
                trained[name] = policy, plan
            if kind == "full":
                plan = self._plan(world, spread, 0.0, 20)
                found["planned"] = run.stage("plans", partial(self._control, plan, seed))
        kept = {name: row.pop("paths") for name, row in found.items() if "paths" in row}
        return found, Left(kept, trained)

    def _world(self, seed: int) -> Ensemble:
        return Ensemble([VectorWorld(3, 1, hidden=self.hidden, generator=self.generator(100 * seed + n))
                         for n in range(self.members)])  # fmt: skip

    def _policy(self, world: Ensemble, seed: int) -> Policy:
        return Policy(world.features, 3, world.actions, (64, 64), generator=self.generator(50_000 + seed))

    def _plan(self, world: Ensemble, spread: Spread, weight: float, horizon: int | None = None) -> PlanEnergy:
        return PlanEnergy(
            world, swing_cost, horizon or self.horizon, weight, self.hinge, spread, masks=self.members, discount=0.99
        )

    def _learn(self, world: Ensemble, paths: Sequence[State], seed: int) -> dict[str, Any]:
        schedule = partial(cosine, self.updates)
        usual = fit_ensemble(world, paths, WINDOW, self.updates, schedule=schedule, seed=100 * seed)
        return {"mean": usual.mean, "deviation": usual.std}

    def _baselines(self, seed: int) -> dict[str, Any]:
        generator = self.generator(70_000 + seed)
        idle = self._drive(lambda state: torch.zeros(len(state["observation"]), 1), seed)
        chance = self._drive(lambda state: 2 * torch.rand(len(state["observation"]), 1, generator=generator) - 1, seed)
        nothing = {"up": 100 * swung_up(idle.observations), "paths": idle.observations[:6]}
        return {"nothing": nothing, "random": {"up": 100 * swung_up(chance.observations)}}

    def _drive(self, policy: Callable[[State], Tensor], seed: int, hanging: bool = False, count: int = 0) -> PlantRuns:
        accept = (lambda observation: bool(observation[0] < -0.8)) if hanging else None
        start = 500_000 * (1 + self.seed) + 10_000 * seed
        return run_plant(PENDULUM, policy, count or self.episodes, self.length, start, accept)

    def _train(self, plan: PlanEnergy, policy: Policy, starts: Tensor, seed: int, updates: int) -> None:
        options = {"batch_size": min(64, len(starts)), "lr": 4e-3, "clip": 50.0, "schedule": partial(cosine, updates)}
        shaping = BackpropThroughModel(policy, seed=seed)
        train(plan, Batch(None, {"observation": starts}), shaping, updates, seed=seed, **options)

    def _through(self, plan: PlanEnergy, policy: Policy, starts: Tensor, seed: int, kind: str) -> dict[str, Any]:
        """The policy trained further inside the model, with or without the uncertainty cost, and judged in the plant.

        A policy trained with the cost from its first weights on, or with a horizon of 40 and a weight of 1, learns to
        hang still: near the withheld region all ways up look expensive, and the way round does not pay within 2 s.
        """
        self._train(plan, policy, starts, seed, self.further_updates)
        return _judged(plan, self._drive(policy, seed, hanging=kind == "withheld"))

    def _control(self, plan: PlanEnergy, seed: int) -> dict[str, Any]:
        controller = Controller(plan, ICEM(samples=self.samples, max_steps=4, tol=None), self.generator(60_000 + seed))
        runs = self._drive(controller, seed, count=self.planned)
        return _judged(plan, runs) | {"latency": controller.latency()["median"]}

    def figures(self, run: Run, first: Left) -> None:
        run.show(region=REGION, step=SECONDS)
        drivers = {"no action": "nothing", "planned": "planned", "policy": "full-plain"}
        paths = {title: first.paths[name] for title, name in drivers.items()}
        run.video(lambda: write_video(run.folder / "figures" / "swing-up.mp4", swinging(paths)))
        run.figure("landscape", partial(cost_under_policy, *first.trained["full-plain"], first.paths["full-plain"]))
        titles = {"withheld-plain": "No uncertainty cost", "withheld-careful": "Uncertainty cost"}
        panels = {title: (first.trained[name][1].world, first.paths[name]) for name, title in titles.items()}
        run.figure("region", partial(uncertainty_panels, panels, self.members, REGION))


def inside(observation: Tensor) -> Tensor:
    """Whether a state lies in the withheld region."""
    low, high = REGION
    return (angle(observation) - (low + high) / 2).abs() < (high - low) / 2


def _judged(plan: PlanEnergy, runs: PlantRuns) -> dict[str, Any]:
    within = inside(path := runs.observations)
    return {
        "up": 100 * swung_up(path),
        "visits": 100 * float(within.double().mean()),
        "ever": 100 * float(within.any(dim=1).double().mean()),
        "error": error_ahead(plan.world, {"observation": path}, runs.actions, AHEAD, every=5),
        "reward": float(runs.rewards.sum(dim=1).mean()),
        "paths": path[:6],
    }
