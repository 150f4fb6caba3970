"""The recipe `world` on a log of a plant: a model without a latent, two with one, and how good their futures are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from lowland.data.gym_log import GymLog, read_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.errors import DataError
from lowland.evaluation.forward_models import (
    COPY,
    MODEL,
    VELOCITY,
    coverage,
    crps,
    errors_by_horizon,
    imagine,
    path_features,
    residual_futures,
    sensitivity,
)
from lowland.evaluation.model_uncertainty import uncertainty_report
from lowland.plots import curves
from lowland.plots.fan import fan
from lowland.plots.histogram import distributions
from lowland.recipes.base import falling
from lowland.recipes.control.world.options import Found, WorldOptions, add_sensitivity, average, ratio
from lowland.reports.run import Run
from lowland.tensors import take, tree_map
from lowland.training.export import save_world
from lowland.training.fit import fit
from lowland.worlds.base import State
from lowland.worlds.forward import ForwardModel, windows
from lowland.worlds.forward_training import ForwardTraining, Posterior, kl_to_normal
from lowland.worlds.rollout import rollout
from lowland.worlds.vector import VectorWorld

Segments = tuple[Mapping[str, Any], State]
Trained = Mapping[str, tuple[ForwardModel, ForwardTraining]]
DETERMINISTIC, VARIATIONAL, DROPPED = "deterministic", "latent z", "latent z with z-dropout"
RESIDUALS = "deterministic + its past errors"
STARTS = 300


def learn_plant(config: WorldOptions, run: Run) -> None:
    """Models of the plant's next state, each seed with its own first weights, scored on held-out episodes."""
    run.expect(5 * config.seeds)
    if config.log:
        log = read_gym_log(config.log)
    else:
        log = record_gym_log(config.plant, config.transitions, config.seed, gusts=config.gusts)
    if not any(bool((path["observation"] != path["observation"][0]).any()) for path in log.paths):
        raise DataError(f"{log.name}: no observation ever changes, so there is nothing to learn.")
    train, test = log.split(0.15, config.seed)
    longest = max(len(path["actions"]) for path in test.paths) - 1
    evaluated = min(config.evaluated, longest)
    if evaluated < 2:
        raise DataError(f"{log.name}: the held-out episodes have at most {longest + 1} steps: at least 3 are needed.")
    segments = windows(train.paths, config.horizon)
    found: list[dict[str, Any]] = []
    for seed in range(config.seeds):
        worlds = _train(config, run, segments, log, seed)
        score = partial(_score, config, worlds, train, test, evaluated, seed)
        found.append(run.stage(f"seed-{seed}/scores", score))
        run.measured.add(_numbers(found[-1]))
        if seed == 0:
            save_world(worlds[VARIATIONAL][0].world, run.checkpoints / "world")
    source = f"{log.name}, {train.steps:,} steps to learn from, {test.steps:,} held out"
    run.show(source=source, name=log.name, dropped=" ".join(log.dropped), steps=evaluated, level=found[0]["level"])
    run.part(_draw, found)


def _train(config: WorldOptions, run: Run, segments: Segments, log: GymLog, seed: int) -> Trained:
    """The model as it is without z, then three ways on from there, all with the same number of updates."""
    x, y = (tree_map(lambda tensor: tensor.to(config.device), part) for part in segments)
    sizes, bounded = log.sizes, log.low is not None
    made: dict[str, tuple[ForwardModel, ForwardTraining]] = {}

    def model() -> ForwardModel:
        generator = config.generator(seed)
        world = VectorWorld(*sizes, config.latents, config.hidden, 0.1, bounded, generator).to(config.device)
        return ForwardModel(world, x["state"], config.horizon)

    def learn(energy: ForwardModel, shaping: ForwardTraining, order: int) -> dict[str, list[float]]:
        result = fit(
            energy, (x, y), shaping, config.steps, min(128, len(x["actions"])), clip=5.0, seed=order, log_every=20,
            schedule=partial(falling, config.steps), validation=0.0, progress=False,
        )  # fmt: skip
        return {name: list(curve.values) for name, curve in result.history.items()}

    first = model()
    run.stage(f"seed-{seed}/first", partial(learn, first, ForwardTraining(seed=seed), seed), [first])
    for name, z_dropout in ((DETERMINISTIC, None), (VARIATIONAL, 0.0), (DROPPED, 0.5)):
        energy = model()
        energy.load_state_dict(first.state_dict())
        shaping = ForwardTraining(seed=seed)
        if z_dropout is not None:
            posterior = Posterior(*sizes, config.latents, generator=config.generator(seed + 500))
            shaping = ForwardTraining(posterior, config.kl, z_dropout, seed=seed).to(config.device)
        learned = partial(learn, energy, shaping, seed + 1000)
        run.stage(f"seed-{seed}/{name.replace(' ', '-')}", learned, [energy, shaping])
        made[name] = energy, shaping
    return made


@torch.no_grad()
def _score(config: WorldOptions, worlds: Trained, train: GymLog, test: GymLog, steps: int, seed: int) -> dict[str, Any]:
    before, x, y = _starts(test, steps, config.device)
    _, known, happened = _starts(train, steps, config.device)
    one = worlds[DETERMINISTIC][0].world
    truth = path_features(one, y)
    found: dict[str, Any] = {"errors": errors_by_horizon(one, x, y, before), "crps": {}, "coverage": {}}
    futures = {
        name: imagine(energy.world, x, config.futures, seed)
        for name, (energy, shaping) in worlds.items()
        if shaping.posterior is not None
    }
    generator = config.generator(seed + 77)
    futures[RESIDUALS] = residual_futures(one, x, known, happened, config.futures, generator)
    alone = path_features(one, rollout(one, x["state"], x["actions"], None, steps).states)
    found["crps"][DETERMINISTIC] = crps(alone[:, None], truth).mean(dim=(0, 2))
    some = torch.linspace(0, len(truth) - 1, min(4, len(truth))).long()
    found["shown"] = {"truth": truth[some], "alone": alone[some], "past": one.features(x["state"])[some]}
    for name, samples in futures.items():
        found["crps"][name] = crps(samples, truth).mean(dim=(0, 2))
        found["level"], found["coverage"][name] = coverage(samples, truth)
        found["errors"][name] = (samples.mean(dim=1) - truth).square().mean(dim=(0, 2)).sqrt()
        found["shown"][name] = samples[some]
    found["sensitivity"], found["kl"] = {}, {}
    for name, (energy, shaping) in worlds.items():
        means = None
        if shaping.posterior is not None:
            means, log_variances = shaping.infer(energy.world, x, y)
            found["kl"][name] = kl_to_normal(means, log_variances).mean()
        rows = sensitivity(energy.world, x, y, means, seed)
        found["sensitivity"][name] = [[*key, value] for key, value in rows.items()]
    found["uncertainty"] = uncertainty_report(worlds[VARIATIONAL][0].world, x, y, seed=seed + 5)._asdict()
    return found


def _starts(log: GymLog, steps: int, device: str) -> tuple[State, Mapping[str, Any], State]:
    """The state before each of up to 300 starts, the start with its actions, and what happened."""
    every = max(1, log.steps // STARTS)
    x, y = windows(log.paths, steps + 1, every)
    chosen = torch.arange(min(STARTS, len(x["actions"])))
    before, actions = take(x["state"], chosen), x["actions"][chosen]
    now, after = (tree_map(part, take(y, chosen)) for part in (lambda t: t[:, 0], lambda t: t[:, 1:]))
    parts = before, {"state": now, "actions": actions[:, 1:]}, after
    before, x, y = (tree_map(lambda tensor: tensor.to(device), part) for part in parts)
    return before, x, y


def _numbers(one: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the stage `scores` of one seed left, by method and measure."""
    errors = {DETERMINISTIC if name == MODEL else name: curve for name, curve in one["errors"].items()}
    numbers: dict[str, dict[str, Any]] = {name: {"error": float(curve[-1])} for name, curve in errors.items()}
    for name, curve in one["crps"].items():
        numbers[name]["crps"] = float(curve.mean())
    for name, curve in one["coverage"].items():
        numbers[name]["coverage"] = float(100 * curve.mean())
    for name in (DETERMINISTIC, VARIATIONAL, DROPPED):
        numbers[name]["swapped"] = ratio(one, name, "zero" if name == DETERMINISTIC else "prior")
    for name in (VARIATIONAL, DROPPED):
        numbers[name]["kl"] = float(one["kl"][name])
    doubt = one["uncertainty"]
    away = doubt["far"].median() / doubt["near"].median().clamp_min(1e-12)
    return numbers | {"masks": {"rank": doubt["rank"], "away": float(away)}, "chance": {"rank": 0.0}}


def _draw(run: Run, found: Found) -> None:
    first = found[0]["shown"]
    starts = range(len(first["truth"]))
    fans = [fan(*(first[name][n] for name in ("past", VARIATIONAL, "truth", "alone"))) for n in starts]
    run.grid("futures", [(drawn, f"start {n + 1}") for n, drawn in enumerate(fans)], columns=2)
    times = list(range(1, len(found[0]["errors"][COPY]) + 1))
    top = 1.15 * max(float(one["errors"][COPY].max()) for one in found)
    lines: dict[str, Any] = {}
    for name in (MODEL, VARIATIONAL, DROPPED, COPY, VELOCITY):
        # A velocity held for long leaves the picture, and would press all else to its floor.
        values = [value if value <= top else float("nan") for value in average(found, "errors", name).tolist()]
        lines[DETERMINISTIC if name == MODEL else name] = times, values
    title, ylabel = "Error, step by step", "root mean square error, in deviations"
    run.figure("errors", curves(lines, title=title, xlabel="steps ahead", ylabel=ylabel))
    scores = {name: (times, average(found, "crps", name).tolist()) for name in found[0]["crps"]}
    # Nothing to draw for the deterministic model, which keeps its colour all the same.
    inside = {DETERMINISTIC: (times, [float("nan")] * len(times))}
    inside |= {name: (times, (100 * average(found, "coverage", name)).tolist()) for name in found[0]["coverage"]}
    inside["nominal"] = times, [100 * found[0]["level"]] * len(times)
    panels = [
        (curves(scores, title="CRPS", xlabel="steps ahead", ylabel="in deviations"), ""),
        (curves(inside, title="Coverage", xlabel="steps ahead", ylabel="percent inside"), ""),
    ]
    run.grid("calibration", panels, columns=2)
    add_sensitivity(run, found, {name: name for name in (DETERMINISTIC, VARIATIONAL, DROPPED)})
    doubt = found[0]["uncertainty"]
    sets = {"held-out states": doubt["near"], "moved away from the data": doubt["far"]}
    words = {"xlabel": "variance over dropout masks", "ylabel": "states"}
    run.figure("uncertainty", distributions(sets, title="Uncertainty of one step", log=True, **words))
