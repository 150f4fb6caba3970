"""The recipe `world` on a log of a plant: a model without a latent, two with one, and how good their futures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lowland.data.gym_log import GymLog
from lowland.data.gym_read import read_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.errors import DataError
from lowland.evaluation.forecasts import PAST_ERRORS, ForecastReport, Models, compare_forecasts
from lowland.evaluation.forward_models import COPY, MODEL, VELOCITY
from lowland.evaluation.model_uncertainty import uncertainty_report
from lowland.plots.fan import fan
from lowland.plots.forecasts import forecast_curves
from lowland.plots.histogram import distributions
from lowland.recipes.base import train
from lowland.recipes.control.world.options import WorldOptions, add_sensitivity
from lowland.reports.run import Run
from lowland.tensors import tree_map
from lowland.training.export import save_world
from lowland.worlds.base import State, World
from lowland.worlds.forward import ForwardModel, spaced_starts, windows
from lowland.worlds.forward_training import ForwardTraining, Posterior
from lowland.worlds.vector import VectorWorld

Segments = tuple[Mapping[str, Any], State]
DETERMINISTIC, VARIATIONAL, DROPPED = "deterministic", "latent z", "latent z with z-dropout"
MODELS = (DETERMINISTIC, VARIATIONAL, DROPPED)
STARTS = 300


def learn_plant(config: WorldOptions, run: Run) -> None:
    """Models of the plant's next state, each seed with its own first weights, scored on held-out episodes."""
    run.expect(5 * config.seeds)
    if config.log:
        log = read_gym_log(config.log)
    else:
        log = record_gym_log(config.plant, config.transitions, config.seed, gusts=config.gusts)
    log.check_changes()
    known, test = log.split(0.15, config.seed)
    longest = max(len(path["actions"]) for path in test.paths) - 1
    evaluated = min(config.evaluated, longest)
    if evaluated < 2:
        raise DataError(f"{log.name}: the held-out episodes have at most {longest + 1} steps: at least 3 are needed.")
    segments = windows(known.paths, config.horizon)
    found: list[ForecastReport] = []
    for seed in range(config.seeds):
        models = _train(config, run, segments, log, seed)
        score = partial(_score, config, models, known, test, evaluated, seed)
        found.append(ForecastReport(**run.stage(f"seed-{seed}/scores", score)))
        run.measured.add(_numbers(found[-1]))
        if seed == 0:
            save_world(models[VARIATIONAL][0], run.checkpoints / "world")
    source = f"{log.name}, {known.steps:,} steps to learn from, {test.steps:,} held out"
    run.show(source=source, name=log.name, notes=" ".join(log.notes), steps=evaluated, level=found[0].level)
    run.part(_draw, found)


def _train(config: WorldOptions, run: Run, segments: Segments, log: GymLog, seed: int) -> Models:
    """The model as it is without z, then three ways on from there, all with the same number of updates."""
    x, y = (tree_map(lambda tensor: tensor.to(config.device), part) for part in segments)
    sizes, bounded = log.sizes, log.low is not None
    made: dict[str, tuple[World, ForwardTraining]] = {}

    def model() -> ForwardModel:
        generator = config.generator(seed)
        world = VectorWorld(*sizes, config.latents, config.hidden, 0.1, bounded, generator).to(config.device)
        return ForwardModel(world, x["state"], config.horizon)

    def learn(energy: ForwardModel, shaping: ForwardTraining, order: int) -> dict[str, list[float]]:
        options = {"batch_size": min(128, len(x["actions"])), "clip": 5.0, "seed": order, "log_every": 20}
        return train(energy, (x, y), shaping, config.steps, **options).curves

    first = model()
    run.stage(f"seed-{seed}/first", partial(learn, first, ForwardTraining(seed=seed), seed), [first])
    for name, z_dropout in ((DETERMINISTIC, None), (VARIATIONAL, 0.0), (DROPPED, 0.5)):
        energy, shaping = model(), ForwardTraining(seed=seed)
        energy.load_state_dict(first.state_dict())
        if z_dropout is not None:
            posterior = Posterior(*sizes, config.latents, generator=config.generator(seed + 500))
            shaping = ForwardTraining(posterior, config.kl, z_dropout, seed=seed).to(config.device)
        learned = partial(learn, energy, shaping, seed + 1000)
        run.stage(f"seed-{seed}/{name.replace(' ', '-')}", learned, [energy, shaping])
        made[name] = energy.world, shaping
    return made


def _score(config: WorldOptions, models: Models, known: GymLog, test: GymLog, steps: int, seed: int) -> dict[str, Any]:
    held_out, training = (spaced_starts(log.paths, steps, STARTS, config.device) for log in (test, known))
    found = compare_forecasts(models, held_out, training, config.futures, config.generator(seed + 77), seed)
    doubt = uncertainty_report(models[VARIATIONAL][0], held_out.x, held_out.y, seed=seed + 5)
    return found._replace(uncertainty=doubt._asdict())._asdict()


def _numbers(one: ForecastReport) -> dict[str, dict[str, Any]]:
    """The report of one seed, by method and measure."""
    errors = {DETERMINISTIC if name == MODEL else name: curve for name, curve in one.errors.items()}
    numbers: dict[str, dict[str, Any]] = {name: {"error": float(curve[-1])} for name, curve in errors.items()}
    for name, curve in one.crps.items():
        numbers[name]["crps"] = float(curve.mean())
    for name, curve in one.coverage.items():
        numbers[name]["coverage"] = float(100 * curve.mean())
    for name in MODELS:
        numbers[name]["swapped"] = one.swapped(name, "zero" if name == DETERMINISTIC else "prior")
    for name, kl in one.kl.items():
        numbers[name]["kl"] = float(kl)
    doubt = one.uncertainty
    away = doubt["far"].median() / doubt["near"].median().clamp_min(1e-12)
    return numbers | {"masks": {"rank": doubt["rank"], "away": float(away)}, "chance": {"rank": 0.0}}


def _draw(run: Run, found: Sequence[ForecastReport]) -> None:
    shown, doubt = found[0].shown, found[0].uncertainty
    parts = [[shown[name][n] for name in ("past", VARIATIONAL, "truth", "alone")] for n in range(len(shown["truth"]))]
    run.grid("futures", [(fan(*tensors), f"start {n + 1}") for n, tensors in enumerate(parts)], columns=2)
    times = range(1, len(found[0].errors[COPY]) + 1)
    draw = partial(forecast_curves, found, times=times, xlabel="steps ahead")
    names = (MODEL, VARIATIONAL, DROPPED, COPY, VELOCITY)
    # A velocity held for long leaves the picture, and would press all else to its floor.
    most = 1.15 * max(float(one.errors[COPY].max()) for one in found)
    title, ylabel = "Error, step by step", "root mean square error, in deviations"
    run.figure(
        "errors",
        draw(part="errors", names=names, labels={MODEL: DETERMINISTIC}, most=most, title=title, ylabel=ylabel),
    )
    names = (*MODELS, DETERMINISTIC + PAST_ERRORS)
    panels = [
        draw(part="crps", names=names, title="CRPS", ylabel="in deviations"),
        draw(part="coverage", names=names, scale=100, title="Coverage", ylabel="percent inside"),
    ]
    run.grid("calibration", [(panel, "") for panel in panels], columns=2)
    add_sensitivity(run, found, {name: name for name in MODELS})
    sets = {"held-out states": doubt["near"], "moved away from the data": doubt["far"]}
    words = {"xlabel": "variance over dropout masks", "ylabel": "states"}
    run.figure("uncertainty", distributions(sets, title="Uncertainty of one step", log=True, **words))
