"""A pendulum that swings up after watching random actions, and where its model is not to be trusted (rows W1–W7)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.data.gym_record import record_gym_log
from lowland.envs.plant import PlantRuns, run_plant
from lowland.errors import OptionError
from lowland.planning.backprop_through_model import BackpropThroughModel
from lowland.planning.control import Controller
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Policy
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.pendulum_page import CENTRE, HALF, NOTHING, RANDOM, write_page, write_results
from lowland.reports.run import Run
from lowland.shaping.base import Batch
from lowland.solvers.icem import ICEM
from lowland.training.fit import fit
from lowland.worlds.base import State
from lowland.worlds.forward import ForwardModel, windows
from lowland.worlds.forward_training import ForwardTraining
from lowland.worlds.rollout import rollout
from lowland.worlds.uncertainty import Ensemble, Spread, usual_spread
from lowland.worlds.vector import VectorWorld

PLANT = "Pendulum-v1"
UPRIGHT, LAST = 0.3, 50
"""A swing-up is an angle of at most 0.3 rad from upright in each of the last 50 steps, 2.5 s."""
WINDOW = 3
"""Steps of a segment of the log on which the model is trained."""
AHEAD = 10
Found = Mapping[str, Any]


@recipe(
    "pendulum",
    shows="From a log of random actions, a learned model is enough to swing a pendulum up, by planning or by a policy "
    "trained inside the model. Then a part of the log is withheld, to see what the uncertainty cost does there.",
    rows=("W1", "W2", "W4", "W7"),
    minutes=6,
    title="A pendulum from a log",
)
@dataclass(frozen=True)
class PendulumRecipe(Recipe):
    """Pendulum-v1 of Gymnasium: 2 N m are too weak to lift the pendulum without swinging. Steps of 0.05 s."""

    log: int = 20_000
    """Transitions of the log, with actions drawn uniformly."""
    seeds: int = 2
    """Repetitions, each with its own log, models and policies."""
    members: int = 4
    """Networks of the model; their variance is its uncertainty."""
    hidden: int = 64
    """Units of a layer of each network."""
    updates: int = 700
    """Of each network, of 128 segments of the log."""
    policy_updates: int = 200
    """Of each policy, of 64 imagined episodes, without the uncertainty cost."""
    further_updates: int = 150
    """After that, once without and once with the uncertainty cost."""
    horizon: int = 60
    """Steps of an imagined episode, 0.05 s each: long enough for one swing more, round the withheld region."""
    uncertainty: float = 0.5
    """Weight of the uncertainty cost, in units of the cost per standard deviation of the usual uncertainty."""
    hinge: float = 3.0
    """Uncertainty that is free of cost, in the same deviations."""
    episodes: int = 50
    """Real episodes by which each policy is judged."""
    planned: int = 10
    """Real episodes of the planner."""
    samples: int = 48
    """Plans that the planner compares at each of its 4 steps."""
    length: int = 180
    """Steps of a real episode."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "log": 600, "seeds": 1, "members": 2, "hidden": 16, "updates": 10, "policy_updates": 3,
            "further_updates": 2, "horizon": 5, "episodes": 3, "planned": 1, "samples": 16, "length": 60,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        least = (self.seeds, self.hidden, self.updates, self.policy_updates, self.further_updates, self.horizon)
        if (
            min(*least, self.episodes, self.planned) < 1
            or self.members < 2
            or self.log < 400
            or self.samples < 10
            or self.length <= LAST
        ):
            raise OptionError(
                "seeds, hidden, updates, policy_updates, further_updates, horizon, episodes and planned must be at "
                "least 1, members at least 2, log at least 400, samples at least 10 and length more than "
                f"{LAST}."
            )
        if not self.uncertainty > 0 or not self.hinge >= 0:
            raise OptionError("uncertainty must be positive and hinge at least 0.")

    def run(self, run: Run) -> None:
        run.expect(10 * self.seeds)
        found, kept = [], {}
        for seed in range(self.seeds):
            log = record_gym_log(PLANT, self.log, seed=1000 * self.seed + seed)
            paths = {"full": list(log.paths), "withheld": without(log.paths)}
            one: dict[str, Any] = {"baselines": run.stage(f"seed-{seed}/baselines", partial(self._baselines, seed))}
            for kind, part in paths.items():
                world = self._world(seed)
                learned = run.stage(f"seed-{seed}/model-{kind}", partial(self._learn, world, part, seed), [world])
                spread = Spread(learned["mean"], learned["deviation"])
                starts = torch.cat([path["observation"][:-1] for path in part])
                first, plain = self._policy(world, seed), self._plan(world, spread, 0.0)
                begin = partial(self._train, plain, first, starts, seed, self.policy_updates)
                run.stage(f"seed-{seed}/policy-{kind}", begin, [first])
                for weight in (0.0, self.uncertainty):
                    policy, plan = self._policy(world, seed), self._plan(world, spread, weight)
                    policy.load_state_dict(first.state_dict())
                    name = f"{kind}-{'careful' if weight else 'plain'}"
                    work = partial(self._through, plan, policy, starts, seed, kind)
                    one[name] = run.stage(f"seed-{seed}/policy-{name}", work, [policy])
                    kept.setdefault(name, (policy, plan))
                if kind == "full":
                    plan = self._plan(world, spread, 0.0, 20)
                    one["mpc"] = run.stage(f"seed-{seed}/plans", partial(self._control, plan, seed))
            found.append(one)
        write_results(run, self, found)
        run.part(write_page, self, found, kept)

    def _world(self, seed: int) -> Ensemble:
        return Ensemble([VectorWorld(3, 1, hidden=self.hidden, generator=self.generator(100 * seed + n))
                         for n in range(self.members)])  # fmt: skip

    def _policy(self, world: Ensemble, seed: int) -> Policy:
        return Policy(world.features, 3, world.actions, (64, 64), generator=self.generator(50_000 + seed))

    def _plan(self, world: Ensemble, spread: Spread, weight: float, horizon: int | None = None) -> PlanEnergy:
        return PlanEnergy(
            world, cost, horizon or self.horizon, weight, self.hinge, spread, masks=self.members, discount=0.99
        )

    def _learn(self, world: Ensemble, paths: Sequence[State], seed: int) -> dict[str, Any]:
        x, y = windows(paths, WINDOW)
        count, schedule = min(128, len(x["actions"])), partial(_cosine, self.updates)
        for number, member in enumerate(world.worlds):
            assert isinstance(member, VectorWorld)
            energy = ForwardModel(member, x["state"], WINDOW)
            shaping, own = ForwardTraining(seed=number), 100 * seed + number
            fit(
                energy, (x, y), shaping, self.updates, count, 3e-3, schedule=schedule, seed=own, validation=0.0,
                progress=False,
            )  # fmt: skip
        usual = usual_spread(
            world, {"observation": x["state"]["observation"][:2000]}, x["actions"][:2000, :1], None, self.members
        )
        return {"mean": usual.mean, "deviation": usual.std, "transitions": sum(len(p["actions"]) for p in paths)}

    def _baselines(self, seed: int) -> dict[str, Any]:
        generator = self.generator(70_000 + seed)
        idle = self._drive(lambda state: torch.zeros(len(state["observation"]), 1), seed)
        chance = self._drive(lambda state: 2 * torch.rand(len(state["observation"]), 1, generator=generator) - 1, seed)
        return {NOTHING: swung_up(idle), RANDOM: swung_up(chance), "paths": idle.observations[:6]}

    def _drive(self, policy: Callable[[State], Tensor], seed: int, hanging: bool = False, count: int = 0) -> PlantRuns:
        accept = (lambda observation: bool(observation[0] < -0.8)) if hanging else None
        start = 500_000 * (1 + self.seed) + 10_000 * seed
        return run_plant(PLANT, policy, count or self.episodes, self.length, start, accept)

    def _train(self, plan: PlanEnergy, policy: Policy, starts: Tensor, seed: int, updates: int) -> None:
        fit(
            plan, Batch(None, {"observation": starts}), BackpropThroughModel(policy, seed=seed), updates,
            min(64, len(starts)), 4e-3, clip=50, schedule=partial(_cosine, updates), seed=seed, validation=0.0,
            progress=False,
        )  # fmt: skip

    def _through(self, plan: PlanEnergy, policy: Policy, starts: Tensor, seed: int, kind: str) -> dict[str, Any]:
        """The policy trained further inside the model, with or without the uncertainty cost, and judged in the plant.

        Trained with it from first weights on, or with a horizon of 40 and a weight of 1, a policy hangs still: near the
        hole all ways up look dear, and the way round does not pay within 2 s.
        """
        self._train(plan, policy, starts, seed, self.further_updates)
        return _judged(plan, self._drive(policy, seed, hanging=kind == "withheld"))

    def _control(self, plan: PlanEnergy, seed: int) -> dict[str, Any]:
        controller = Controller(plan, ICEM(samples=self.samples, max_steps=4, tol=None), self.generator(60_000 + seed))
        runs = self._drive(controller, seed, count=self.planned)
        return _judged(plan, runs) | {"latency": controller.latency()}


def angle(observation: Tensor) -> Tensor:
    """From upright, in rad."""
    return torch.atan2(observation[..., 1], observation[..., 0])


def inside(observation: Tensor) -> Tensor:
    """Whether a state lies in the withheld region."""
    return (angle(observation) - CENTRE).abs() < HALF


def cost(state: State, action: Tensor) -> Tensor:
    """Minus the reward of Pendulum-v1: angle² + 0.1 speed² + 0.001 torque²."""
    observation = state["observation"]
    return angle(observation).square() + 0.1 * observation[:, 2].square() + 0.004 * action[:, 0].square()


def without(paths: Sequence[State]) -> list[dict[str, Tensor]]:
    """The log without the region: each episode cut into the segments outside it."""
    segments = []
    for path in paths:
        bounds = [-1, *inside(path["observation"]).nonzero()[:, 0].tolist(), len(path["observation"])]
        for before, after in itertools.pairwise(bounds):
            if after - before > WINDOW + 1:
                segments.append({"observation": path["observation"][before + 1 : after],
                               "actions": path["actions"][before + 1 : after - 1]})  # fmt: skip
    return segments


def swung_up(runs: PlantRuns) -> float:
    """Share of the episodes that end upright, see `UPRIGHT`."""
    return float((angle(runs.observations[:, -LAST:]).abs() <= UPRIGHT).all(dim=1).double().mean())


def _judged(plan: PlanEnergy, runs: PlantRuns) -> dict[str, Any]:
    path = runs.observations
    return {
        "up": swung_up(runs),
        "visits": float(inside(path).double().mean()),
        "ever": float(inside(path).any(dim=1).double().mean()),
        "error": _error(plan, runs),
        "reward": float(runs.rewards.sum(dim=1).mean()),
        "paths": path[:6],
        "actions": runs.actions[:6],
    }


@torch.no_grad()
def _error(plan: PlanEnergy, runs: PlantRuns) -> float:
    """Root mean square error of the imagined state after 10 steps along what was really done, in deviations."""
    errors = []
    for t in range(0, runs.actions.shape[1] - AHEAD, 5):
        start = {"observation": runs.observations[:, t]}
        ahead = rollout(plan.world, start, runs.actions[:, t : t + AHEAD], None, AHEAD).states["observation"][:, -1]
        there = {"observation": runs.observations[:, t + AHEAD]}
        away = plan.world.features({"observation": ahead}) - plan.world.features(there)
        errors.append(away.square().sum(dim=1))
    return float(torch.stack(errors).mean().sqrt())


def _cosine(steps: int, step: int) -> float:
    """A learning rate that falls to zero along half a cosine (Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))
