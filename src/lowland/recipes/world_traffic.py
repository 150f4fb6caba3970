"""The recipe `world` on images of traffic: two decoders of the convolutional model, and how good their futures are.

Shape letters: B starts, N futures, T steps, P frames of context, C channels, H and W rows and columns, D cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.tracks import Tracks
from lowland.envs.episodes import Logs, read_logs
from lowland.envs.films import Films
from lowland.envs.picture import Camera
from lowland.envs.scene import Scene
from lowland.evaluation.forward_models import COPY, VELOCITY, coverage, crps, sensitivity
from lowland.recipes.base import falling
from lowland.recipes.world_traffic_page import write_page, write_results
from lowland.reports.run import Run
from lowland.tensors import PerSampleRNG, tree_map
from lowland.training.export import save_world
from lowland.training.fit import fit
from lowland.training.observation import ImageObservation
from lowland.worlds.base import World
from lowland.worlds.convolutional import DECODERS
from lowland.worlds.driving_costs import CARS
from lowland.worlds.forward import ForwardModel
from lowland.worlds.forward_training import ForwardTraining, kl_to_normal
from lowland.worlds.rollout import at, transitions

if TYPE_CHECKING:
    from lowland.recipes.world import WorldRecipe

Trained = Mapping[str, tuple[World, ForwardTraining]]
STARTS, SHOWN, DRAWN = 48, 3, 3
IMAGE, BATCH, CARS_SEEN = (64, 16), 16, 10
"""As in the preset `pixels` of `drive`."""
RATE, PIXELS = 1e-3, 1 / 300
"""Of `kl`, a 300th is the price of a nat here: the error of an image is a mean over pixels, not a sum over numbers."""
_REACH, _CELL, _LEAST = 80.0, (8, 4), 0.02


def run_traffic(config: WorldRecipe, run: Run) -> None:
    """Both decoders, each first without z and then with z-dropout, scored in traffic that they have not seen."""
    run.describe(
        "A forward model of traffic", "From images of what was around a car, a network learns what will be there; "
        "with a latent variable it draws several futures, which are scored against what happened.", ("W1", "W5"),
    )  # fmt: skip
    run.expect(config.seeds * (2 * len(DECODERS) + 1))
    seen = {
        name: ImageObservation(IMAGE, latents=config.latents, hidden=config.hidden, decoder=name, device=config.device)
        for name in DECODERS
    }
    observation = seen["warp"]
    logs = read_logs(config.log, CARS_SEEN, config.device, 1, observation.replay, config.reading)
    if not config.log:
        run.stand_in("Simulated traffic stands in for recordings of a freeway.")
    count = max(1, config.transitions // config.horizon)
    unseen, found = _unseen(config, logs, observation), []
    models: dict[str, tuple[World, ForwardTraining]] = {}
    for seed in range(config.seeds):
        films = observation.segments(logs, count, config.horizon, config.generator(10 * seed + 1))
        for name in DECODERS:
            models[name] = _train(config, run, name, seen[name], BATCH, films, seed)
            if seed == 0:
                save_world(models[name][0], run.checkpoints / f"world-{name}")
        found.append(run.stage(f"seed-{seed}/scores", partial(_score, config, models, unseen, seed)))
    size = sum(parameter.numel() for parameter in models["warp"][0].parameters())
    log = f"log {config.log}, cars held out" if config.log else "simulated traffic, another simulation"
    data = f"{log}, {len(unseen)} starts; {2 * config.steps:,} updates of {BATCH} pieces"
    write_results(run, found, data)
    run.part(write_page, found, logs, size)


def _unseen(config: WorldRecipe, logs: Logs, observation: ImageObservation) -> Films:
    frames, every = observation.frames, observation.every
    before, generator = (frames - 1) * every, torch.Generator().manual_seed(0)
    count = min(STARTS, max(SHOWN, config.transitions // 50))
    starts = logs.starts(count, config.evaluated, generator, "held", before=before, device="cpu")
    return Films(starts, Camera(*observation.size), frames, config.evaluated, config.device)


def _train(
    config: WorldRecipe, run: Run, decoder: str, observation: ImageObservation, batch: int, films: Films, seed: int
) -> tuple[World, ForwardTraining]:
    world = observation.world(True, config.generator(10 * seed + 2)).to(config.device)
    energy = ForwardModel(world, observation.examples(films, 1)[0], config.horizon)
    posterior, batch = observation.posterior(world, config.generator(10 * seed + 3)), min(batch, len(films))
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
def _score(config: WorldRecipe, models: Trained, films: Films, seed: int) -> dict[str, Any]:
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
    cells, noise = _cells(truth), PerSampleRNG(seed, torch.arange(len(truth), device=truth.device))
    found: dict[str, Any] = {"shown": shown, "crps": {}, "coverage": {}, "sensitivity": {}, "kl": {}}
    for name, (world, shaping) in models.items():
        answers[name] = _imagined(world, x, None)
        z = world.prior(noise, config.futures, films.steps)
        few = [_imagined(world, x, z[:, n])[:SHOWN] for n in range(DRAWN)]
        shown[name] = {"zero": answers[name][:SHOWN], "drawn": torch.stack(few, dim=1)}
        samples = torch.stack([_cells(_imagined(world, x, z[:, n])) for n in range(config.futures)], dim=1)
        found["crps"][name] = crps(samples, cells).mean(dim=(0, 2))
        found["level"], found["coverage"][name] = covered(samples, cells, config.generator(10 * seed + 4))
        means, log_variances = shaping.infer(world, x, y)
        found["kl"][name] = kl_to_normal(means, log_variances).mean()
        rows = sensitivity(world, x, y, means, seed)
        found["sensitivity"][name] = [[*key, value] for key, value in rows.items()]
    found["errors"] = {
        name: (frames - truth)[:, :, CARS].square().mean(dim=(0, 2, 3)) for name, frames in answers.items()
    }
    for name, frames in answers.items():
        key = f"{name}, z = 0" if name in models else name
        found["crps"][key] = crps(_cells(frames)[:, None], cells).mean(dim=(0, 2))
    return found


def _imagined(world: World, x: Mapping[str, Any], z: Tensor | None) -> Tensor:
    """The newest frame of each step, (B, T, C, H, W); a whole roll-out of films would fill the memory."""
    found = transitions(world, x["state"], x["actions"], z, x["actions"].shape[1])
    return torch.stack([step.following["image"][:, -1] for step in found], dim=1)


def _cells(frames: Tensor) -> Tensor:
    """(B, T, D), how much of each cell of about 9 m × 3.7 m other cars cover."""
    return functional.avg_pool2d(frames[:, :, CARS], _CELL).flatten(2)


def covered(samples: Tensor, truth: Tensor, generator: torch.Generator) -> tuple[float, Tensor]:
    """`coverage` of cells (B, N, T, D) by step, where at least one of the N futures and the truth has a car.

    All N + 1 are treated alike, so that the share is still the nominal one if the truth is drawn as they are. Values
    that differ by less than 2 % of a cell count as equal, and their order is drawn.
    """
    both = torch.cat([samples, truth[:, None]], dim=1)
    blurred = both + _LEAST * torch.rand(both.shape, generator=generator).to(both.device)
    chosen = (both > _LEAST).any(dim=1)
    level, shares = 0.0, []
    for t in range(truth.shape[1]):
        values = blurred[:, :, t].movedim(1, 2)[chosen[:, t]][:, :, None, None]
        if not len(values):  # no future has a car anywhere
            shares.append(truth.new_tensor(torch.nan))
            continue
        level, share = coverage(values[:, :-1], values[:, -1])
        shares.append(share[0])
    return level, torch.stack(shares)


def carried_on(films: Films, own: Tensor, size: Tensor) -> Tensor:
    """The frames (B, T, C, H, W) if all others went on evenly while the own car goes where it went, `own` (B, T, 5)."""
    parts: list[np.ndarray] = []
    steps = own.shape[1]
    for number in range(len(films)):
        cars = _around(films, number)
        times = np.arange(1, steps + 1)
        path = cars[:, None, :2] + cars[:, None, 2:4] * times[:, None] * films.scenes[0].step_seconds
        rest = np.broadcast_to(cars[:, None, 6:8], path.shape)
        frame = np.broadcast_to(number * (steps + 1) + times, path.shape[:2])
        parts.append(np.concatenate([path, rest, frame[..., None]], axis=2))
    # A car far away is there in every frame, so that none is without cars.
    frames = np.arange(len(films) * (steps + 1))
    idle = np.stack([np.full_like(frames, -1e6), 0 * frames, 0 * frames + 1, 0 * frames + 1, frames], axis=1)
    paths = [idle.astype(float)[None], *parts]
    table = np.concatenate([path.reshape(-1, 5) for path in paths])
    counts = np.concatenate([np.full(len(path), path.shape[1]) for path in paths])
    vehicle = np.repeat(np.arange(len(counts)), counts)
    dt, road = films.scenes[0].step_seconds, films.scenes[0].tracks.road
    x, y, length, width, frame = table.T
    moved = Tracks(vehicle, frame, x, y, length, width, np.full(len(table), -1), road, dt)
    when = torch.arange(len(films))[:, None] * (steps + 1) + torch.arange(1, steps + 1)
    nobody = torch.full((when.numel(),), -1)
    image = films.camera.draw(
        Scene(moved, every=1), own.cpu().flatten(0, 1), size.cpu().flatten(0, 1), when.flatten(), nobody
    )
    return image.unflatten(0, when.shape).to(own) / 255


def _around(films: Films, number: int) -> np.ndarray:
    """The other cars near the start of a segment, (cars, 8) as in `Scene.table`."""
    scene, row = films.scenes[int(films.scene[number])], films.row[number]
    place, there = scene.nearest(scene.own[row][None], scene.frame[row][None], scene.vehicle[row][None], scene.most)
    cars = scene.table[place[0, there[0]]]
    return cars[(cars[:, 0] - scene.own[row, 0]).abs() < _REACH].double().numpy()
