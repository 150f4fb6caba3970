"""Forecasts of traffic images, scored per cell: how much of each cell of road other cars cover.

Shape letters: B starts, N futures, T steps, C channels, H and W rows and columns, D cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lowland.envs.constant_velocity import carried_on
from lowland.envs.films import Films
from lowland.evaluation.forecasts import ForecastReport, Models, dependence
from lowland.evaluation.forward_models import COPY, VELOCITY, coverage, crps
from lowland.tensors import PerSampleRNG, tree_map
from lowland.worlds.base import World
from lowland.worlds.driving_costs import CARS
from lowland.worlds.rollout import at, transitions

_CELL = (8, 4)
"""Rows and columns of a cell in pixels: about 9 m × 3.7 m in images of 64 × 16."""
_LEAST = 0.02
"""Fraction of a cell below which a car does not count."""


def newest_frames(world: World, x: Mapping[str, Any], z: Tensor | None) -> Tensor:
    """The newest frame of each step of a roll-out, (B, T, C, H, W); whole image states would fill the memory.

    Args:
        world: a forward model of images.
        x: {"state": s[0], "actions": (B, T, A)}.
        z: (B, T, Z), or None for z = 0.
    """
    found = transitions(world, x["state"], x["actions"], z, x["actions"].shape[1])
    return torch.stack([step.following["image"][:, -1] for step in found], dim=1)


def car_cells(frames: Tensor) -> Tensor:
    """Fraction of each cell covered by other cars: frames (B, T, C, H, W) → (B, T, D).

    >>> car_cells(torch.ones(2, 5, 3, 64, 16)).shape
    torch.Size([2, 5, 32])
    """
    return functional.avg_pool2d(frames[:, :, CARS], _CELL).flatten(2)


def cell_coverage(samples: Tensor, truth: Tensor, generator: torch.Generator) -> tuple[float, Tensor]:
    """`coverage` by step, over cells in which at least one of the N futures and the truth has a car.

    All N + 1 are treated the same way, so the coverage is nominal if the truth has the same distribution as the
    futures. Values that differ by less than 2 % of a cell count as equal, and ties are broken at random.

    Args:
        samples: (B, N, T, D), from `car_cells`.
        truth: (B, T, D).
        generator: breaks the ties.

    Returns:
        The nominal coverage, and the coverage at each step, (T,); NaN where no future has a car anywhere.
    """
    both = torch.cat([samples, truth[:, None]], dim=1)
    blurred = both + _LEAST * torch.rand(both.shape, generator=generator).to(both.device)
    chosen = (both > _LEAST).any(dim=1)
    level, shares = 0.0, []
    for t in range(truth.shape[1]):
        values = blurred[:, :, t].movedim(1, 2)[chosen[:, t]][:, :, None, None]
        if not len(values):
            shares.append(truth.new_tensor(torch.nan))
            continue
        level, share = coverage(values[:, :-1], values[:, -1])
        shares.append(share[0])
    return level, torch.stack(shares)


@torch.no_grad()
def compare_film_forecasts(
    models: Models, films: Films, count: int, generator: torch.Generator, seed: int = 0, shown: int = 3, drawn: int = 3
) -> ForecastReport:
    """Compare forward models of images, each with a posterior, on held-out films.

    Errors are squared errors of the channel of other cars, with z = 0; CRPS and coverage are those of `car_cells`, for
    z = 0 under the model's name followed by ", z = 0". Baselines repeat the last frame, or draw all cars at constant
    velocity.

    Args:
        models: to compare.
        films: what happened.
        count: N.
        generator: of the order of equal values in `cell_coverage`, the same for each model.
        seed: of the latents.
        shown, drawn: starts, and futures of each, that are kept for pictures: of each model {"zero": (B, T, C, H, W),
            "drawn": (B, N, T, C, H, W)}.
    """
    states = films.states(torch.arange(len(films)), steps=films.steps)
    x = {"state": at(states, 0), "actions": films.actions.to(films.device)}
    y = tree_map(lambda tensor: tensor[:, 1:], states)
    truth, last = y["image"][:, :, -1], x["state"]["image"][:, -1]
    even = carried_on(films, states["own"][:, 1:], states["size"][:, 1:])
    answers = {COPY: last[:, None].expand_as(truth), VELOCITY: even}
    kept: dict[str, Any] = {"truth": truth[:shown], VELOCITY: even[:shown], "past": x["state"]["image"][:shown]}
    kept["size"] = states["size"][:shown, 0]
    kept["seconds"] = [films.scenes[0].step_seconds * (t + 1) for t in range(films.steps)]
    cells, noise = car_cells(truth), PerSampleRNG(seed, torch.arange(len(truth), device=truth.device))
    scores, covered, level, same = {}, {}, 0.0, generator.get_state()
    for name, (world, _) in models.items():
        answers[name] = newest_frames(world, x, None)
        z = world.prior(noise, count, films.steps)
        few = [newest_frames(world, x, z[:, n])[:shown] for n in range(drawn)]
        kept[name] = {"zero": answers[name][:shown], "drawn": torch.stack(few, dim=1)}
        samples = torch.stack([car_cells(newest_frames(world, x, z[:, n])) for n in range(count)], dim=1)
        scores[name] = crps(samples, cells).mean(dim=(0, 2))
        generator.set_state(same)
        level, covered[name] = cell_coverage(samples, cells, generator)
    errors = {name: (frames - truth)[:, :, CARS].square().mean(dim=(0, 2, 3)) for name, frames in answers.items()}
    for name, frames in answers.items():
        key = f"{name}, z = 0" if name in models else name
        scores[key] = crps(car_cells(frames)[:, None], cells).mean(dim=(0, 2))
    return ForecastReport(errors, scores, covered, level, *dependence(models, x, y, seed), kept)
