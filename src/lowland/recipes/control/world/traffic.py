"""The recipe `world` on images of traffic: two decoders of the convolutional model, and how good their futures are.

Shape letters: B starts, T steps, P frames of context, C channels, H and W rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from lowland.envs.constant_velocity import carried_on
from lowland.envs.episodes import Logs, read_logs
from lowland.envs.films import Films
from lowland.envs.picture import Camera
from lowland.evaluation.film_forecasts import car_cells, cell_coverage, newest_frames
from lowland.evaluation.forward_models import COPY, VELOCITY, crps, sensitivity
from lowland.plots import curves
from lowland.plots.traffic_films import FilmedScene, traffic_film, traffic_strips
from lowland.plots.video import write_video
from lowland.recipes.base import falling
from lowland.recipes.control.world.options import Found, WorldOptions, add_sensitivity, average, ratio
from lowland.reports.run import Run
from lowland.tensors import PerSampleRNG, tree_map
from lowland.training.export import save_world
from lowland.training.fit import fit
from lowland.training.observation import ImageObservation
from lowland.words import verbatim
from lowland.worlds.base import World
from lowland.worlds.convolutional import DECODERS
from lowland.worlds.driving_costs import CARS
from lowland.worlds.forward import ForwardModel
from lowland.worlds.forward_training import ForwardTraining, kl_to_normal
from lowland.worlds.rollout import at

Trained = Mapping[str, tuple[World, ForwardTraining]]
IMAGE, BATCH, NEIGHBOURS = (64, 16), 16, 10
STARTS, SHOWN, DRAWN = 48, 3, 3
"""Starts that are scored, those that are filmed, and futures in each film."""
RATE, PIXELS = 1e-3, 1 / 300
"""Learning rate, and the share of `kl` that weights a nat: the error of an image is a mean over pixels, not a sum."""
TITLES = {"warp": "warp of the last frame", "additive": "sigmoid of last frame + change (the paper's)"}


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
    count = max(1, config.transitions // config.horizon)
    unseen, found = _unseen(config, logs, observation), []
    models: dict[str, tuple[World, ForwardTraining]] = {}
    for seed in range(config.seeds):
        films = observation.segments(logs, count, config.horizon, config.generator(10 * seed + 1))
        for name in DECODERS:
            models[name] = _train(config, run, name, seen[name], films, seed)
            if seed == 0:
                save_world(models[name][0], run.checkpoints / f"world-{name}")
        found.append(run.stage(f"seed-{seed}/scores", partial(_score, config, models, unseen, seed)))
    seconds = found[0]["shown"]["seconds"]
    steps = sorted({1, min(5, len(seconds)), len(seconds)})
    for one in found:
        run.measured.add(_numbers(one, steps))
    log = f"log {config.log}, cars held out" if config.log else "simulated traffic, another simulation"
    run.show(
        source=f"{log}, {len(unseen)} starts; {2 * config.steps:,} updates of {BATCH} pieces",
        size=sum(parameter.numel() for parameter in models["warp"][0].parameters()),
        horizons=[{"measure": f"error {step}", "seconds": seconds[step - 1]} for step in steps],
        seconds=seconds, last=f"error {len(seconds)}", level=found[0]["level"], image=list(IMAGE),
        reading=logs.reading, faults=bool(logs.faults),
    )  # fmt: skip
    rows = [[fault.kind, fault.count, verbatim(fault.sentence, 0)] for fault in logs.faults]
    run.table(("fault", "count", "what was done"), rows, name="faults")
    run.part(_draw, found)


def _unseen(config: WorldOptions, logs: Logs, observation: ImageObservation) -> Films:
    frames, every = observation.frames, observation.every
    before, generator = (frames - 1) * every, torch.Generator().manual_seed(0)
    count = min(STARTS, max(SHOWN, config.transitions // 50))
    starts = logs.starts(count, config.evaluated, generator, "held", before=before, device="cpu")
    return Films(starts, Camera(*observation.size), frames, config.evaluated, config.device)


def _train(
    config: WorldOptions, run: Run, decoder: str, observation: ImageObservation, films: Films, seed: int
) -> tuple[World, ForwardTraining]:
    world = observation.world(True, config.generator(10 * seed + 2)).to(config.device)
    energy = ForwardModel(world, observation.examples(films, 1)[0], config.horizon)
    posterior, batch = observation.posterior(world, config.generator(10 * seed + 3)), min(BATCH, len(films))
    shapings = {
        "without-z": ForwardTraining(seed=seed),
        "z-dropout": ForwardTraining(posterior, PIXELS * config.kl, seed=seed).to(config.device),
    }
    for name, shaping in shapings.items():

        def learn(shaping: ForwardTraining = shaping) -> dict[str, list[float]]:
            result = fit(
                energy, observation.trajectories(films, config.horizon), shaping, config.steps, batch, RATE,
                clip=5.0, schedule=partial(falling, config.steps), validation=0.0, progress=False, seed=seed,
                log_every=10,
            )  # fmt: skip
            return {key: list(curve.values) for key, curve in result.history.items()}

        run.stage(f"seed-{seed}/{decoder}/{name}", learn, [energy, shaping])
    return world, shapings["z-dropout"]


@torch.no_grad()
def _score(config: WorldOptions, models: Trained, films: Films, seed: int) -> dict[str, Any]:
    """Errors, CRPS, coverage, sensitivity and KL on held-out starts, and a few films."""
    states = films.states(torch.arange(len(films)), steps=films.steps)
    x = {"state": at(states, 0), "actions": films.actions.to(config.device)}
    y = tree_map(lambda tensor: tensor[:, 1:], states)
    truth, last = y["image"][:, :, -1], x["state"]["image"][:, -1]
    even = carried_on(films, states["own"][:, 1:], states["size"][:, 1:])
    answers = {COPY: last[:, None].expand_as(truth), VELOCITY: even}
    shown: dict[str, Any] = {"truth": truth[:SHOWN], VELOCITY: even[:SHOWN], "past": x["state"]["image"][:SHOWN]}
    shown["size"] = states["size"][:SHOWN, 0]
    shown["seconds"] = [films.scenes[0].step_seconds * (t + 1) for t in range(films.steps)]
    cells, noise = car_cells(truth), PerSampleRNG(seed, torch.arange(len(truth), device=truth.device))
    found: dict[str, Any] = {"shown": shown, "crps": {}, "coverage": {}, "sensitivity": {}, "kl": {}}
    for name, (world, shaping) in models.items():
        answers[name] = newest_frames(world, x, None)
        z = world.prior(noise, config.futures, films.steps)
        few = [newest_frames(world, x, z[:, n])[:SHOWN] for n in range(DRAWN)]
        shown[name] = {"zero": answers[name][:SHOWN], "drawn": torch.stack(few, dim=1)}
        samples = torch.stack([car_cells(newest_frames(world, x, z[:, n])) for n in range(config.futures)], dim=1)
        found["crps"][name] = crps(samples, cells).mean(dim=(0, 2))
        found["level"], found["coverage"][name] = cell_coverage(samples, cells, config.generator(10 * seed + 4))
        means, log_variances = shaping.infer(world, x, y)
        found["kl"][name] = kl_to_normal(means, log_variances).mean()
        rows = sensitivity(world, x, y, means, seed)
        found["sensitivity"][name] = [[*key, value] for key, value in rows.items()]
    found["errors"] = {
        name: (frames - truth)[:, :, CARS].square().mean(dim=(0, 2, 3)) for name, frames in answers.items()
    }
    for name, frames in answers.items():
        key = f"{name}, z = 0" if name in models else name
        found["crps"][key] = crps(car_cells(frames)[:, None], cells).mean(dim=(0, 2))
    return found


def _numbers(one: Mapping[str, Any], steps: list[int]) -> dict[str, dict[str, Any]]:
    """What the stage `scores` of one seed left, by method and measure."""
    numbers: dict[str, dict[str, Any]] = {
        name: {f"error {step}": float(1000 * curve[step - 1]) for step in steps}
        for name, curve in one["errors"].items()
    }
    for name, curve in one["crps"].items():
        numbers.setdefault(name, {})["crps"] = float(1000 * curve.mean())
    for name, curve in one["coverage"].items():
        numbers[name] |= {
            "coverage": float(100 * curve.nanmean()), "kl": float(one["kl"][name]), "swapped": ratio(one, name, "prior")
        }  # fmt: skip
    return numbers


def _draw(run: Run, found: Found) -> None:
    shown = found[0]["shown"]
    scenes = [_scene(shown, start) for start in range(len(shown["truth"]))]
    path = run.folder / "figures" / "futures.mp4"
    path.parent.mkdir(exist_ok=True)
    columns = (2, 1 + DRAWN, 1 + DRAWN)
    run.video(lambda: write_video(path, traffic_film(scenes, columns), rate=5))
    run.figure("futures", lambda: traffic_strips(scenes[0]))
    seconds = shown["seconds"]
    lines: dict[str, Any] = {
        _titled(name): (seconds, (1000 * average(found, "errors", name)).tolist()) for name in found[0]["errors"]
    }
    words = {"title": "Other cars in the image", "ylabel": "squared error × 1,000"}
    run.figure("errors", curves(lines, xlabel="seconds ahead", **words))
    lines = {_titled(name): (seconds, (1000 * average(found, "crps", name)).tolist()) for name in found[0]["crps"]}
    run.figure("crps", curves(lines, title="CRPS", xlabel="seconds ahead", ylabel="× 1,000"))
    lines = {
        _titled(name): (seconds, (100 * average(found, "coverage", name)).tolist()) for name in found[0]["coverage"]
    }
    lines["nominal"] = seconds, [100 * found[0]["level"]] * len(seconds)
    run.figure("coverage", curves(lines, title="Coverage", xlabel="seconds ahead", ylabel="percent inside"))
    add_sensitivity(run, found, TITLES)


def _titled(name: str) -> str:
    """A decoder or a baseline as it stands in a picture."""
    for key, words in TITLES.items():
        name = name.replace(key, words, 1) if name.startswith(key) else name
    return name


def _scene(shown: Mapping[str, Any], start: int) -> FilmedScene:
    """What happened, a baseline, and the futures of each decoder."""
    films = {"what happened": shown["truth"][start], VELOCITY: shown[VELOCITY][start]}
    for name in TITLES:
        films[f"{name}, z = 0"] = shown[name]["zero"][start]
        for number, film in enumerate(shown[name]["drawn"][start]):
            films[f"{name}, z drawn {number + 1}"] = film
    return FilmedScene(shown["past"][start], films, shown["size"][start], shown["seconds"])
