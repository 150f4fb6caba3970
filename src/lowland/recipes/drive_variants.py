"""Policies that are trained through models in several ways, and driven in the same traffic; models are shared."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch

from lowland.envs.drivers import sanity_drivers
from lowland.envs.episodes import read_logs
from lowland.recipes.drive import DriveRecipe, as_drive, compare_costs, drive
from lowland.recipes.drive_methods import DRIVERS, SUCCESS, Method
from lowland.recipes.drive_options import PolicyOptions
from lowland.recipes.drive_page import rates
from lowland.reports.run import Run
from lowland.tensors import take
from lowland.worlds.base import World
from lowland.worlds.uncertainty import Ensemble

Outcomes = dict[str, list[dict[str, Any]]]


class Variant(NamedTuple):
    """One way to train a policy through a model.

    Attributes:
        name: on the page.
        method: whose world, policy and terms of the cost it has.
        recipe: `drive` with the options of this variant.
        members: forward models whose spread is the uncertainty; 1 for the dropout masks of one model.
    """

    name: str
    method: Method
    recipe: DriveRecipe
    members: int = 1

    @property
    def models(self) -> tuple[str, ...]:
        """Of each member, the same for variants that share it."""
        kind = f"{self.method.world}-{self.recipe.hidden}-units-{self.recipe.windows}-pieces"
        return tuple(f"{kind}-{number + 1}" for number in range(self.members))


def compare(
    run: Run,
    options: PolicyOptions,
    variants: Sequence[Variant],
    rolled: int = 0,
    part: Literal["test", "held"] = "test",
) -> tuple[Outcomes, str]:
    """Train and drive each variant, with all seeds: outcomes by name, and in what they drove.

    Human replay and no action come first, one outcome each, and have their results written.

    Args:
        run: whose stages these are.
        options: what the variants have in common: logs, seeds and episodes.
        variants: those to compare.
        rolled: steps of the roll-outs that compare predicted with realised costs; 0 for none.
        part: where they drive: in the test, or where settings are compared, in the recordings that are held for checks.
    """
    base = as_drive(options)
    logs = read_logs(base.tracks, base.cars, base.device, base.recordings, reading=base.reading)
    if not base.tracks:
        run.stand_in("Simulated traffic stands in for the recordings of I-80 that the published figures are of.")
    models = {name for variant in variants for name in variant.models}
    run.expect(2 + options.seeds * (len(models) + (3 if rolled else 2) * len(variants)))
    steps = max(options.model_horizon, rolled, *(variant.recipe.horizon for variant in variants))
    segments = logs.segments(options.windows, steps, options.generator())
    episodes = [logs.episodes(options.episodes, part), []]
    where = base.data if part == "test" or base.tracks else "simulated traffic, validation simulation"
    data = f"{where}, {sum(len(one.numbers) for one in episodes[0])} episodes"
    found: Outcomes = {}
    for name in ("human", "no action"):
        found[name] = [run.stage(f"test/{name.replace(' ', '-')}", partial(drive, episodes, sanity_drivers()[name]))]
        share, (label, claim) = 100 * float(rates(found[name]).mean()), DRIVERS[name]
        known = base.published(claim, SUCCESS)
        run.result(id="W8", claim="success", method=label, measured=share, published=known, data=data)
    unseen = logs.unseen(steps) if rolled else {}
    for seed in range(options.seeds):
        trained: dict[str, World] = {}
        for variant in variants:
            name, method, one, _ = variant
            seen = _seen(segments, one.windows)
            world, policy = _model(run, variant, seen, seed, trained), one.policy(method, seed)
            place = f"seed-{seed}/{_short(name)}"
            learn = partial(one.learn, method, policy, {method.world: world}, segments, seed, seen)
            run.stage(f"{place}/policy", learn, [policy])
            outcome = run.stage(f"{place}/test", partial(drive, episodes, policy.eval()))
            if rolled:
                check = partial(compare_costs, policy, world, episodes[0], unseen, rolled, one.masks)
                outcome["told"] = run.stage(f"{place}/promises", check)
            found.setdefault(name, []).append(outcome)
    return found, data


def shares(found: Outcomes, name: str) -> tuple[float, float | None]:
    """Mean success in percent, and its standard deviation over seeds."""
    values = [100 * float(rates([outcome]).mean()) for outcome in found[name]]
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _seen(segments: dict[str, Any], most: int) -> dict[str, Any]:
    """The segments that a model learns from: at most so many, evenly from all."""
    count, device = len(segments["actions"]), segments["actions"].device
    return segments if most >= count else take(segments, torch.linspace(0, count - 1, most).long().to(device))


def _model(run: Run, variant: Variant, segments: dict[str, Any], seed: int, trained: dict[str, World]) -> World:
    """The model of a variant; members of an ensemble differ in first weights and in the order of the training data."""
    for number, label in enumerate(variant.models):
        if label not in trained:
            own = seed + 1000 * number
            trained[label] = variant.recipe.world(run, variant.method.world, segments, own, label)
    members = [trained[label] for label in variant.models]
    return members[0] if len(members) == 1 else Ensemble(members)


def _short(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-")
