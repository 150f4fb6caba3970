"""Observation spaces with guaranteed bounds, derived from the log and the kinematics.

Shape letters: R rows of the log.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor

from lowland.envs.replay import Replay
from lowland.envs.scene import ABSENT, USUAL
from lowland.worlds.kinematics import ACCELERATION

Array = npt.NDArray[np.float64]
_SLACK = 1e-3
"""Relative and absolute amount by which bounds are widened, for rounding in float32, and because Gymnasium warns about
bounds of zero width."""


def observations(replay: Replay) -> spaces.Dict:
    """The space of `replay.state()` for one episode: bounded float32 for each name, uint8 for images.

    The own car is at most as fast and as far as the fastest logged car would be under full acceleration until the end,
    and between the edges of the road except in its last step. Other cars are where the log has them; missing ones are
    `ABSENT` metres behind the own car.
    """
    low, high = _own(replay)
    size, table = _range(replay.scene.size), _range(replay.scene.table)
    away = [low[0] - ABSENT, low[1], 0.0, 0.0], [high[0] - ABSENT, high[1], 0.0, 0.0]
    road = replay.scene.road.double().cpu().numpy()
    bounds: dict[str, tuple[Array, Array]] = {
        "own": (low, high),
        "path": (low, high),
        "size": size,
        "cars": (np.minimum(table[0][:4], away[0]), np.maximum(table[1][:4], away[1])),
        "car_size": (np.minimum(table[0][6:], USUAL), np.maximum(table[1][6:], USUAL)),
        "present": (np.zeros(()), np.ones(())),
        "road": (road, road),
    }
    found: dict[str, spaces.Space[Any]] = {}
    shown = replay.reset(torch.arange(1))
    replay.reset(torch.arange(0))  # no episode has begun
    for name, leaf in shown.items():
        shape = tuple(leaf.shape[1:])
        if name == "image":
            found[name] = spaces.Box(0, 255, shape, np.uint8)
            continue
        least, most = bounds[name]
        if name != "present":
            room = np.maximum(_SLACK, _SLACK * np.maximum(np.abs(least), np.abs(most)))
            least, most = least - room, most + room
        least, most = (np.broadcast_to(bound, shape).astype(np.float32) for bound in (least, most))
        found[name] = spaces.Box(least, most, shape, np.float32)
    return spaces.Dict(found)


def _own(replay: Replay) -> tuple[Array, Array]:
    """Bounds of x, y, heading (2) and speed of the own car."""
    scene, step = replay.scene, replay.step_seconds
    left = (scene.frames - 1 - int(scene.frame[replay.starts].min())) * scene.tracks.dt
    seconds = min(replay.limit, left) + step
    (x, y, *_), (far, across, *_, speed) = _range(scene.own)
    fastest = speed + ACCELERATION * seconds
    right, left_edge = scene.road[:2].double().tolist()
    ahead = max(far, replay.goal + fastest * step) if replay.until == "section" else far + fastest * seconds
    return (
        np.array([x - fastest * seconds, min(y, right - fastest * step), -1.0, -1.0, 0.0]),
        np.array([ahead, max(across, left_edge + fastest * step), 1.0, 1.0, fastest]),
    )


def _range(rows: Tensor) -> tuple[Array, Array]:
    """Minimum and maximum of each column of (R, …)."""
    values = rows.double().cpu().numpy()
    return values.min(axis=0), values.max(axis=0)
