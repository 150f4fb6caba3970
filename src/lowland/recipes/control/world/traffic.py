"""The recipe `world` on images of traffic: two decoders of the convolutional model, and how good their futures are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from lowland.envs.episodes import read_logs
from lowland.envs.films import Films
from lowland.evaluation.film_forecasts import compare_film_forecasts
from lowland.evaluation.forecasts import ForecastReport, Models
from lowland.evaluation.forward_models import VELOCITY
from lowland.plots.forecasts import forecast_curves
from lowland.plots.traffic_films import FilmedScene, traffic_film, traffic_strips
from lowland.plots.video import write_video
from lowland.recipes.base import train
from lowland.recipes.control.world.options import WorldOptions, add_sensitivity
from lowland.recipes.log_options import show_faults
from lowland.reports.run import Run
from lowland.training.export import save_world
from lowland.training.observation import ImageObservation
from lowland.worlds.base import World
from lowland.worlds.convolutional import DECODERS
from lowland.worlds.forward import ForwardModel
from lowland.worlds.forward_training import ForwardTraining

IMAGE, BATCH, NEIGHBOURS = (64, 16), 16, 10
STARTS, SHOWN, DRAWN = 48, 3, 3
"""Starts that are scored, those that are filmed, and futures in each film."""
RATE, PIXELS = 1e-3, 1 / 300
"""Learning rate, and the share of `kl` that weights a nat: the error of an image is a mean over pixels, not a sum."""
TITLES = {"warp": "warp of the last frame", "additive": "sigmoid of last frame + change (the paper's)"}
LABELS = TITLES | {f"{name}, z = 0": f"{title}, z = 0" for name, title in TITLES.items()}


def learn_traffic(config: WorldOptions, run: Run) -> None:
    """Both decoders, each first without z and then with z-dropout, scored in traffic that they have not seen."""
    run.expect(config.seeds * (2 * len(DECODERS) + 1))
    seen = {
        name: ImageObservation(
            IMAGE, latents=config.latents, hidden=config.hidden, decoder=name, device=config.device
        )
        for name in DECODERS
    }  # fmt: skip
    observation = seen["warp"]
    logs = read_logs(config.log, NEIGHBOURS, config.device, 1, observation.replay, config.reading)
    if not config.log:
        run.stand_in("Simulated traffic stands in for recordings of a freeway.")
    scored = min(STARTS, max(SHOWN, config.transitions // 50))
    unseen = observation.films(logs, scored, config.evaluated, torch.Generator().manual_seed(0), "held")
    found: list[ForecastReport] = []
    models: dict[str, tuple[World, ForwardTraining]] = {}
    for seed in range(config.seeds):
        count = max(1, config.transitions // config.horizon)
        films = observation.segments(logs, count, config.horizon, config.generator(10 * seed + 1))
        for name in DECODERS:
            models[name] = _train(config, run, name, seen[name], films, seed)
            if seed == 0:
                save_world(models[name][0], run.checkpoints / f"world-{name}")
        found.append(ForecastReport(**run.stage(f"seed-{seed}/scores", partial(_score, config, models, unseen, seed))))
    seconds = found[0].shown["seconds"]
    steps = sorted({1, min(5, len(seconds)), len(seconds)})
    for one in found:
        run.measured.add(_numbers(one, steps))
    log = f"log {config.log}, cars held out" if config.log else "simulated traffic, another simulation"
    run.show(
        source=f"{log}, {len(unseen)} starts; {2 * config.steps:,} updates of {BATCH} pieces",
        size=sum(parameter.numel() for parameter in models["warp"][0].parameters()),
        horizons=[{"measure": f"error {step}", "seconds": seconds[step - 1]} for step in steps],
        seconds=seconds, last=f"error {len(seconds)}", level=found[0].level, image=list(IMAGE), reading=logs.reading,
    )  # fmt: skip
    show_faults(run, logs.faults)
    run.part(_draw, found)


def _train(
    config: WorldOptions, run: Run, decoder: str, observation: ImageObservation, films: Films, seed: int
) -> tuple[World, ForwardTraining]:
    world = observation.world(True, config.generator(10 * seed + 2)).to(config.device)
    energy = ForwardModel(world, observation.examples(films, 1)[0], config.horizon)
    posterior = observation.posterior(world, config.generator(10 * seed + 3))
    shapings = {
        "without-z": ForwardTraining(seed=seed),
        "z-dropout": ForwardTraining(posterior, PIXELS * config.kl, seed=seed).to(config.device),
    }
    options = {"batch_size": min(BATCH, len(films)), "lr": RATE, "clip": 5.0, "seed": seed, "log_every": 10}
    for name, shaping in shapings.items():
        data = observation.trajectories(films, config.horizon)
        learn = partial(train, energy, data, shaping, config.steps, **options)
        run.stage(f"seed-{seed}/{decoder}/{name}", lambda learn=learn: learn().curves, [energy, shaping])
    return world, shapings["z-dropout"]


def _score(config: WorldOptions, models: Models, films: Films, seed: int) -> dict[str, Any]:
    generator = config.generator(10 * seed + 4)
    return compare_film_forecasts(models, films, config.futures, generator, seed, SHOWN, DRAWN)._asdict()


def _numbers(one: ForecastReport, steps: list[int]) -> dict[str, dict[str, Any]]:
    """The report of one seed, by method and measure."""
    numbers: dict[str, dict[str, Any]] = {
        name: {f"error {step}": float(1000 * curve[step - 1]) for step in steps} for name, curve in one.errors.items()
    }
    for name, curve in one.crps.items():
        numbers.setdefault(name, {})["crps"] = float(1000 * curve.mean())
    for name, curve in one.coverage.items():
        covered = float(100 * curve.nanmean())
        numbers[name] |= {"coverage": covered, "kl": float(one.kl[name]), "swapped": one.swapped(name, "prior")}
    return numbers


def _draw(run: Run, found: Sequence[ForecastReport]) -> None:
    shown = found[0].shown
    scenes = [_scene(shown, start) for start in range(len(shown["truth"]))]
    film = traffic_film(scenes, (2, 1 + DRAWN, 1 + DRAWN))
    run.video(lambda: write_video(run.folder / "figures" / "futures.mp4", film, rate=5))
    run.figure("futures", lambda: traffic_strips(scenes[0]))
    draw = partial(forecast_curves, found, times=shown["seconds"], labels=LABELS, xlabel="seconds ahead")
    title, ylabel = "Other cars in the image", "squared error × 1,000"
    run.figure("errors", draw(part="errors", scale=1000, title=title, ylabel=ylabel))
    run.figure("crps", draw(part="crps", scale=1000, title="CRPS", ylabel="× 1,000"))
    run.figure("coverage", draw(part="coverage", scale=100, title="Coverage", ylabel="percent inside"))
    add_sensitivity(run, found, TITLES)


def _scene(shown: dict[str, Any], start: int) -> FilmedScene:
    """What happened, a baseline, and the futures of each decoder."""
    films = {"what happened": shown["truth"][start], VELOCITY: shown[VELOCITY][start]}
    for name in TITLES:
        films[f"{name}, z = 0"] = shown[name]["zero"][start]
        for number, film in enumerate(shown[name]["drawn"][start]):
            films[f"{name}, z drawn {number + 1}"] = film
    return FilmedScene(shown["past"][start], films, shown["size"][start], shown["seconds"])
