"""Images if all other cars kept their velocity: a baseline for forward models of images.

Shape letters: B segments, T steps, C channels, H and W rows and columns of an image.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lowland.data.tracks import Tracks
from lowland.envs.films import Films
from lowland.envs.scene import Scene

_REACH = 80.0
"""Other cars within so many metres along the road are extrapolated."""


def carried_on(films: Films, own: Tensor, size: Tensor) -> Tensor:
    """Frames (B, T, C, H, W) in which all other cars keep their velocity at the start of the segment.

    Args:
        films: the segments; velocities come from their logs, so the baseline knows them exactly.
        own: (B, T, 5), the true states of the own car.
        size: (B, T, 2), its length and width.
    """
    parts: list[np.ndarray] = []
    steps = own.shape[1]
    for number in range(len(films)):
        cars = _around(films, number)
        times = np.arange(1, steps + 1)
        path = cars[:, None, :2] + cars[:, None, 2:4] * times[:, None] * films.scenes[0].step_seconds
        rest = np.broadcast_to(cars[:, None, 6:8], path.shape)
        frame = np.broadcast_to(number * (steps + 1) + times, path.shape[:2])
        parts.append(np.concatenate([path, rest, frame[..., None]], axis=2))
    # Every frame gets a car far away, so that no frame is empty.
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
