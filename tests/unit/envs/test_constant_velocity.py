"""Cars that keep their velocity are drawn where they really are."""

from __future__ import annotations

import numpy as np
import torch

from lowland.data.tracks import Road, Tracks
from lowland.envs.constant_velocity import carried_on
from lowland.envs.films import Films
from lowland.envs.picture import Camera
from lowland.envs.scene import Scene


def test_cars_that_go_on_evenly_are_where_they_are_drawn() -> None:
    """Positions are in single precision in both, so that a point at the edge of a car may fall to either side of it."""
    frames = np.arange(60)
    cars = [(7, 30.0, 5.55, 10.0), (8, 22.0, 1.85, 11.0), (9, 45.0, 1.85, 9.0)]
    columns = [np.concatenate([np.full(60, number) for number, *_ in cars]), np.tile(frames, 3)]
    columns.append(np.concatenate([x + 0.1 * speed * frames for _, x, _, speed in cars]))
    columns += [np.repeat([y for _, _, y, _ in cars], 60), np.full(180, 4.5), np.full(180, 1.8), np.zeros(180)]
    scene = Scene(Tracks(*columns, road=Road(0.0, 300.0, (0.0, 3.7, 7.4))))
    rows = scene.starts(10, before=6)
    films = Films([(scene, rows[::10])], Camera(64, 16), frames=4, steps=10)
    states = films.states(torch.arange(len(films)), steps=10)
    even = carried_on(films, states["own"][:, 1:], states["size"][:, 1:])
    torch.testing.assert_close(even, states["image"][:, 1:, -1], atol=2 / 16 + 1e-6, rtol=0)
