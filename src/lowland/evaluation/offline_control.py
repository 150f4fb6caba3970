"""Control learned from a log alone: models, the cost to go, policies with several weights of the uncertainty, a choice.

Shape letters: B samples, T steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor

from lowland.data.gym_log import GymLog
from lowland.errors import OptionError
from lowland.evaluation.promises import choose_weight, kept_promise, known_return, promised_return
from lowland.nn.vector_eyes import VectorEyes
from lowland.planning.backprop_through_model import BackpropThroughModel
from lowland.planning.cost_to_go import CostToGo, best_episodes, costs_to_go, reward_cost
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Imitation, Policy
from lowland.shaping.base import Batch
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.bounds import Bound, Count, NotNegative, Positive, Share
from lowland.training.ensembles import fit_ensemble
from lowland.training.fit import fit
from lowland.training.schedules import cosine, falling
from lowland.worlds.base import State, standardise
from lowland.worlds.forward import spaced_starts, windows
from lowland.worlds.plant import PlantWorld
from lowland.worlds.uncertainty import Ensemble, Spread, usual_spread

PARTS = ("observation", "reward", "alive")
KINDS = ("imitation", "start", "plain", "uncertain", "anchored", "careful")
"""Policies: imitation of all episodes, of the best; through the model with λ = 0, with the chosen λ, with that and μ;
and the one of them whose promise is kept best."""
_STARTS, _USUAL = 100, 2000
Stage = Callable[..., Any]
Drawn = Callable[[int], torch.Generator]


@dataclass(frozen=True)
class Learned:
    """What one seed left: a model, policies by kind with their CPU seconds, and how λ was chosen.

    `promises` has, for each λ and for `start` and `anchored`, the return that the model promises and what the held-out
    model keeps of it; `chosen` is the kind of policy with the best of them.
    """

    world: Ensemble
    plan: Callable[[float], PlanEnergy]
    policies: Mapping[str, Policy]
    seconds: Mapping[str, float]
    weight: float
    chosen: str
    promises: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class OfflineControl:
    """Options of models and policies, and how they are learned from a log with rewards.

    A model of one part of the log (`PlantWorld`, several as an `Ensemble`) and a second one of the other part;
    imitation of the best episodes, from which policies start; the cost to go of the log, which counts after a plan;
    and for each λ a policy that is trained through the first model with λ times its uncertainty (MPUR: Henaff, Canziani
    & LeCun 2019). λ is chosen by what the second model keeps of each promise, see `choose_weight` and `known_return`.
    With it another policy is trained that also pays μ times the distance to the best actions (MPER, the same). Of where
    policies start, the one with λ and the one with λ and μ, the best is chosen as λ was. The plant is never run.
    """

    members: Annotated[int, Bound(least=2)] = 4
    """Networks of the model; their variance is its uncertainty."""
    hidden: Count = 128
    """Units of a layer of each network."""
    updates: Count = 800
    """Updates of each network, on 128 segments of the log."""
    window: Count = 4
    """Steps of a segment."""
    held_out: Annotated[float, Bound(above=0, below=1)] = 0.33
    """Share of the episodes that the model does not see: of these a second one is made, by which λ is chosen."""
    imitation_updates: Count = 1500
    """Updates of imitation, and of the cost to go."""
    imitated: Share = 0.2
    """Share of the log from which policies start, the episodes of highest return; plain imitation has all."""
    policy_updates: Count = 200
    """Updates of each policy through the model."""
    anchor: NotNegative = 1.0
    """μ, the weight of the distance to the actions of the best episodes, in standard deviations of the cost to go."""
    policy_rate: Positive = 3e-4
    """Learning rate of these."""
    horizon: Count = 8
    """Steps of a plan, after which the cost to go counts."""
    discount: Annotated[float, Bound(least=0, below=1)] = 0.99
    """γ."""
    weights: tuple[NotNegative, ...] = (0.0, 0.5, 2.0)
    """λ, the weights of the uncertainty cost to choose from, in units of the mean absolute reward; the first is 0."""
    hinge: NotNegative = 0.0
    """Uncertainty that is free of cost, in deviations from its mean on the best episodes."""
    promise: Count = 300
    """Steps over which promised and realised returns are compared."""

    def __post_init__(self) -> None:
        parent = getattr(super(), "__post_init__", None)
        if parent is not None:  # a recipe that inherits these options checks its bounds there
            parent()
        if not self.weights or self.weights[0] != 0 or list(self.weights) != sorted(set(self.weights)):
            raise OptionError(f"weights must rise from 0, such as 0 0.5 2, but they are {self.weights}.")

    def learn(
        self, log: GymLog, known: GymLog, other: GymLog, generator: Drawn, stage: Stage, seed: int = 0
    ) -> Learned:
        """A model of one part of the log and one of the other, a policy for each λ in the first, and the choice.

        Args:
            log: the whole log, with outcomes.
            known, other: its parts, as `log.split` makes them.
            generator: offset → a generator, which draws first weights, such as `Recipe.generator`.
            stage: (name, function, modules) → the function's result, computed once, such as `Run.stage`.
            seed: number of the repetition, for weights and data orders.
        """
        offset = 1000 * seed
        world, second = self._world(log, generator, offset), self._world(log, generator, offset + 500)
        found = stage("model", partial(self._model, world, known, offset), [world])
        other_model = stage("held-out-model", partial(self._model, second, other, offset + 500), [second])
        policies = {name: self._policy(log, world, generator(offset + 70)) for name in ("imitation", "best")}
        value = CostToGo(self._eyes(log), generator=generator(offset + 80))
        started = stage("start", partial(self._start, log, policies, value, offset), [*policies.values(), value])
        spread, scale = Spread(found["mean"], found["deviation"]), started["scale"]

        def plan(weight: float) -> PlanEnergy:
            return PlanEnergy(
                world, partial(scaled_cost, scale), self.horizon, weight, self.hinge, spread, self.members,
                discount=self.discount, final=value,
            )  # fmt: skip

        first, usual = first_states(log), Spread(other_model["mean"], other_model["deviation"])
        floor = min(0.0, *(float(path["reward"][1:].min()) for path in log.paths))

        def promises(policy: Policy) -> tuple[float, float]:
            kept = known_return(second, policy, first, self.promise, usual, floor)
            return promised_return(world, policy, first, self.promise), kept

        start = policies["best"].eval()
        base = found["seconds"] + started["seconds"]
        seconds = {"imitation": started["each"], "start": started["each"]}

        def improved(name: str, weight: float, anchor: float) -> Policy:
            policy = self._policy(log, world, generator(offset + 70))
            policy.load_state_dict(start.state_dict())
            work = partial(self._improve, plan(weight), policy, log, anchor, offset)
            seconds[name] = base + stage(f"policy/{name}", work, [policy])["seconds"]
            return policy.eval()

        tried = {f"{weight:g}": improved(f"{weight:g}", weight, 0.0) for weight in self.weights}
        said = {name: promises(policy) for name, policy in tried.items()}
        weight = choose_weight(self.weights, *zip(*said.values(), strict=True))
        made = {
            "imitation": policies["imitation"].eval(), "start": start, "plain": tried["0"],
            "uncertain": tried[f"{weight:g}"], "anchored": improved("anchored", weight, self.anchor),
        }  # fmt: skip
        said |= {name: promises(made[name]) for name in ("start", "anchored")}
        choices = {"start": said["start"], "uncertain": said[f"{weight:g}"], "anchored": said["anchored"]}
        chosen = max(choices, key=lambda name: kept_promise(*choices[name]))
        spent = sum(seconds[name] - base for name in (*tried, "anchored"))
        seconds |= {"plain": seconds["0"], "careful": base + other_model["seconds"] + spent}
        seconds["uncertain"] = seconds["careful"] - (seconds["anchored"] - base)
        return Learned(world, plan, made | {"careful": made[chosen]}, seconds, weight, chosen, said)

    def _world(self, log: GymLog, generator: Drawn, offset: int) -> Ensemble:
        return Ensemble([PlantWorld(*log.sizes, hidden=self.hidden, generator=generator(offset + n))
                         for n in range(self.members)])  # fmt: skip

    def _eyes(self, log: GymLog) -> VectorEyes:
        eyes = VectorEyes(log.sizes[0])
        standardise(torch.cat([path["observation"] for path in log.paths]), eyes.mean, eyes.deviation)
        return eyes

    def _policy(self, log: GymLog, world: Ensemble, generator: torch.Generator) -> Policy:
        policy = Policy(self._eyes(log), log.sizes[0], world.actions, (128, 128), generator=generator)
        if log.low is not None and log.high is not None:
            policy.bounds = (log.low.tolist(), log.high.tolist())
        return policy

    def _model(self, world: Ensemble, log: GymLog, seed: int) -> dict[str, Any]:
        began = time.process_time()
        schedule = partial(cosine, self.updates)
        fit_ensemble(world, log.paths, self.window, self.updates, 2e-3, schedule=schedule, seed=seed)
        # Of the best episodes: what is usual for bad ones is no bound for a good policy, which then pays nothing.
        _, x, _ = spaced_starts(best_episodes(log.paths, self.imitated), 1, _USUAL)
        usual = usual_spread(world, x["state"], x["actions"], masks=self.members)
        return {"mean": usual.mean, "deviation": usual.std, "seconds": time.process_time() - began}

    def _start(self, log: GymLog, policies: Mapping[str, Policy], value: CostToGo, seed: int) -> dict[str, float]:
        """Imitation of all and of the best episodes, and the cost to go of the log."""
        began = time.process_time()
        for name, policy in policies.items():
            paths = log.paths if name == "imitation" else best_episodes(log.paths, self.imitated)
            actions = torch.cat([path["actions"] for path in paths])
            self._fit(Imitation(policy), (steps_of(paths), actions), seed)
        each = (time.process_time() - began) / 2
        scale = max(1e-6, float(torch.cat([path["reward"][1:] for path in log.paths]).abs().mean()))
        goals = value.scaled(costs_to_go(log.paths, self.discount) / scale)
        self._fit(Imitation(value.network), (steps_of(log.paths), goals), seed)
        return {"scale": scale, "each": each, "seconds": time.process_time() - began}

    def _fit(self, energy: Imitation, data: tuple[State, Tensor], seed: int) -> None:
        count = min(256, len(data[1]))
        _train(energy, data, MinimumEnergy(), self.imitation_updates, seed=seed, batch_size=count, lr=1e-3)

    def _improve(self, plan: PlanEnergy, policy: Policy, log: GymLog, anchor: float, seed: int) -> dict[str, float]:
        """Train a policy through the model, from the states of the best episodes."""
        began = time.process_time()
        x, _ = windows(best_episodes(log.paths, self.imitated), self.horizon)
        assert isinstance(plan.final, CostToGo)
        shaping = BackpropThroughModel(policy, anchor * float(plan.final.deviation), seed=seed)
        options = {"batch_size": min(128, len(x["actions"])), "lr": self.policy_rate, "clip": 10.0}
        _train(plan, Batch(x["actions"], x["state"]), shaping, self.policy_updates, seed=seed, **options)
        return {"seconds": time.process_time() - began}


def first_states(log: GymLog) -> State:
    """The first states of up to 100 episodes, from all over the log: where promises start."""
    paths = log.paths[:: max(1, len(log.paths) // _STARTS)][:_STARTS]
    return {name: torch.stack([path[name][0] for path in paths]) for name in PARTS}


def steps_of(paths: Sequence[Mapping[str, Tensor]]) -> State:
    """The states of all steps at which an action was taken, below one another."""
    return {name: torch.cat([path[name][:-1] for path in paths]) for name in PARTS}


def scaled_cost(scale: float, state: State, action: Tensor) -> Tensor:
    """C = −r in units of the mean absolute reward of the log."""
    return reward_cost(state, action) / scale


def _train(energy: Any, data: Any, shaping: Any, steps: int, **options: Any) -> None:
    settings = {"schedule": partial(falling, steps), "validation": 0.0, "progress": False}
    fit(energy, data, shaping, steps, **settings | options)
