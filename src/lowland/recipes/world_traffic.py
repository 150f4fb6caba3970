"""The recipe `world` on images of traffic: film strips of what the convolutional model foresees, beside the truth.

Shape letters: B samples, N futures, T steps, P frames of context, C channels, H and W rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.traffic import traffic
from lowland.envs.replay import Replay
from lowland.evaluation.forward_models import COPY
from lowland.plots import curves
from lowland.plots.style import INK, bare, figure
from lowland.recipes.base import Recipe
from lowland.reports.run import Run
from lowland.tensors import RowNoise, map_value, repeat_rows
from lowland.training.export import save_world
from lowland.training.fit import fit
from lowland.worlds.base import State
from lowland.worlds.convolutional import DECODERS, ConvolutionalPosterior, ConvolutionalWorld
from lowland.worlds.forward import ForwardModel
from lowland.worlds.forward_training import ForwardTraining
from lowland.worlds.rollout import rollout

SIZE, FRAMES, HORIZON, SCORED, BATCH = (64, 16), 4, 5, 15, 16
CARS = 1
_LATENTS, _MAPS, _HIDDEN, _KL, _SHOWN = 8, (16, 32, 48), 64, 1e-4, (1, 3, 6, 10, 15)
_NAMES: dict[str, str] = {"warp": "warp of the last frame", "additive": "sigmoid of last frame + change (the paper's)"}


def run_traffic(config: Recipe, run: Run, steps: int, pieces: int) -> None:
    """Both decoders, each first without z and then with z-dropout, on the shipped traffic; scored on other traffic.

    Args:
        config: for seed and device.
        run: whose page is filled.
        steps: updates before z comes in, and again as many after it.
        pieces: of the log to learn from.
    """
    run.expect(2 * len(DECODERS) + 1)
    x, y = films("train", pieces, HORIZON, config.generator(1), config.device)
    worlds = {name: _train(config, run, name, steps, x, y) for name in DECODERS}
    for name, world in worlds.items():
        save_world(world, run.checkpoints / f"world-{name}")
    found = run.stage("scores", partial(_score, config, worlds, pieces))
    _write(run, found, worlds, pieces, steps)


def films(part: Any, count: int, steps: int, generator: torch.Generator, device: str) -> tuple[dict[str, Any], State]:
    """Pieces (x, y) of the shipped traffic as films of 4 frames 0.2 s apart, and the vector of the own car."""
    tracks = traffic(part, 1)[0]
    replay = Replay(tracks, image=SIZE)
    rows = replay.scene.starts(steps + FRAMES - 1)
    few = torch.randperm(len(rows), generator=generator)[:count]
    states, actions = replay.logged(rows[few], steps + FRAMES - 1)
    film = (states["image"].to(device).float() / 255).unfold(1, FRAMES, 1).movedim(-1, 2)
    path = {"image": film, "own": states["own"][:, FRAMES - 1 :].to(device)}
    x = {"state": map_value(lambda tensor: tensor[:, 0], path), "actions": actions[:, FRAMES - 1 :].to(device)}
    return x, map_value(lambda tensor: tensor[:, 1:], path)


def _train(config: Recipe, run: Run, decoder: str, steps: int, x: Mapping[str, Any], y: State) -> ConvolutionalWorld:
    world = ConvolutionalWorld(
        SIZE, FRAMES, own=(5,), latents=_LATENTS, maps=_MAPS, hidden=_HIDDEN, decoder=decoder,
        generator=config.generator(2),
    ).to(config.device)  # fmt: skip
    energy = ForwardModel(world, x["state"], HORIZON)
    posterior = ConvolutionalPosterior(world, _HIDDEN, config.generator(3))
    for name, shaping in (
        ("without-z", ForwardTraining(seed=config.seed)),
        ("z-dropout", ForwardTraining(posterior, _KL, seed=config.seed).to(config.device)),
    ):

        def learn(shaping: ForwardTraining = shaping) -> dict[str, list[float]]:
            options = {"validation": 0.0, "progress": False, "clip": 5.0, "seed": config.seed, "log_every": 10}
            batch = min(BATCH, len(x["actions"]))
            result = fit(energy, (x, y), shaping, steps, batch, schedule=lambda s: 1 - s / steps, **options)
            return {key: list(curve.values) for key, curve in result.history.items()}

        run.stage(f"{decoder}/{name}", learn, [energy, shaping])
    return world


@torch.no_grad()
def _score(config: Recipe, worlds: Mapping[str, ConvolutionalWorld], pieces: int) -> dict[str, Any]:
    """Squared errors of the other cars' channel at each step, and a few films."""
    x, y = films("validation", min(100, pieces), SCORED, config.generator(4), config.device)
    truth, last = y["image"][:, :, -1], x["state"]["image"][:, None, -1]
    found: dict[str, Any] = {"errors": {COPY: _error(last, truth)}, "shown": {"truth": truth[:3]}, "swapped": {}}
    for name, world in worlds.items():
        rows = len(truth)
        noise = RowNoise(config.seed, torch.arange(rows, device=truth.device))
        alone = _imagined(world, x, None)
        found["errors"][name] = _error(alone, truth)
        swapped = {**x, "actions": x["actions"].roll(1, dims=0)}
        own, other = (_imagined(world, each, world.prior(noise, SCORED)) for each in (x, swapped))
        found["swapped"][name] = [_error(one, truth).mean() for one in (own, other)]
        few = {
            "state": map_value(lambda t: repeat_rows(t[:3], 2), x["state"]),
            "actions": repeat_rows(x["actions"][:3], 2),
        }
        z = world.prior(RowNoise(config.seed + 9, torch.arange(6, device=truth.device)), SCORED)
        found["shown"][name] = {"zero": alone[:3], "drawn": _imagined(world, few, z).unflatten(0, (3, 2))}
    return found


def _imagined(world: ConvolutionalWorld, x: Mapping[str, Any], z: Tensor | None) -> Tensor:
    """The newest frame of each step, (B, T, C, H, W)."""
    return rollout(world, x["state"], x["actions"], z, SCORED).states["image"][:, :, -1]


def _error(frames: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error of the other cars' channel at each step, (T,)."""
    return (frames[:, :, CARS] - truth[:, :, CARS]).square().mean(dim=(0, 2, 3))


def _write(
    run: Run, found: Mapping[str, Any], worlds: Mapping[str, ConvolutionalWorld], pieces: int, steps: int
) -> None:
    data = f"shipped traffic, {pieces:,} pieces, {2 * steps:,} updates of {BATCH}; scored on another simulation"
    for step in (1, 5, SCORED):
        for name, errors in found["errors"].items():
            method = f"{name} (baseline)" if name == COPY else _NAMES[name]
            claim = f"squared error of other cars in the image, times 1,000, step {step} of 0.2 s"
            run.result(id="W1", claim=claim, method=method, measured=1000 * float(errors[step - 1]), data=data)
    for name, (own, other) in found["swapped"].items():
        claim = "squared error with another sample's actions, as a multiple of that with its own, z from the prior"
        run.result(id="W5", claim=claim, method=_NAMES[name], measured=float(other / own), data=data)
    size = sum(parameter.numel() for parameter in worlds["warp"].parameters())
    run.section("What the model sees coming")
    run.text(
        f"Images of {SIZE[0]} × {SIZE[1]} around a car: lane markings, other cars and what is off the road, in three "
        f"colours. The models have about {size:,} weights and look at {FRAMES} frames, 0.2 s apart; each film below "
        "follows the actions of the log, in a scene of another simulation. z = 0 is the mean of the prior, and two "
        "films have z drawn from it."
    )
    for start in range(len(found["shown"]["truth"])):
        run.figure(f"film-{start + 1}", _strips(found["shown"], start), f"Scene {start + 1}")
    run.section("Error against horizon")
    last = {name: 1000 * float(errors[-1]) for name, errors in found["errors"].items()}
    ratios = {name: float(other / own) for name, (own, other) in found["swapped"].items()}
    heard = "listens to them" if ratios["warp"] > 1.05 else "hardly listens to them"
    run.text(
        f"The squared error of the channel of the other cars. After {SCORED} steps it is {last['warp']:.0f} for the "
        f"warp, {last['additive']:.0f} for the additive decoder and {last[COPY]:.0f} for the last frame, copied. An "
        "empty frame, where the cars may be anywhere, has a low error, too, so look at the films. With "
        f"another sample's actions the warp's error is {ratios['warp']:.2f} times as large: so far it {heard}."
    )
    lines: dict[str, Any] = {}
    for name, errors in found["errors"].items():
        lines[_NAMES.get(name, COPY)] = (list(range(1, SCORED + 1)), (1000 * errors).tolist())
    drawn = curves(lines, title="Other cars in the image", xlabel="steps of 0.2 s", ylabel="squared error × 1,000")
    run.figure("errors", drawn, "At z = 0")


def _strips(shown: Mapping[str, Any], start: int) -> Figure:
    """A column a film and step: truth, and each decoder at z = 0 and for two z."""
    rows = {"what happened": shown["truth"][start]}
    for name in ("warp", "additive"):
        rows[f"{name}, z = 0"] = shown[name]["zero"][start]
        for n, film in enumerate(shown[name]["drawn"][start]):
            rows[f"{name}, z drawn {n + 1}"] = film
    drawn = figure(9.4, 4.6)
    axes = drawn.subplots(1, len(rows))
    for ax, (name, film) in zip(axes, rows.items(), strict=True):
        frames = [film[step - 1] for step in _SHOWN]
        gap = torch.ones(3, SIZE[0], 1)
        sheet = torch.cat([part for frame in frames for part in (frame, gap)][:-1], dim=2)
        ax.imshow(sheet.movedim(0, 2).clamp(0, 1).numpy(), interpolation="nearest", origin="upper")
        bare(ax)
        ax.set_title(name, fontsize=8.5, color=INK)
        ax.set_xlabel("steps " + " ".join(map(str, _SHOWN)), fontsize=6.5, color=INK)
    return drawn
