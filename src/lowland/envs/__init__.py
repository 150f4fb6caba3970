"""Environments: traffic replayed from a log, by itself and for Gymnasium.

Importing this package makes `lowland/TrafficReplay-v0` known to Gymnasium; without it
`gymnasium.make("lowland.envs:lowland/TrafficReplay-v0")` does both.
"""

from __future__ import annotations

import gymnasium

from lowland.envs.drivers import IDM, constant_speed, human, no_action, sanity_drivers
from lowland.envs.picture import Camera
from lowland.envs.replay import Policy, Replay
from lowland.envs.scene import Scene
from lowland.envs.trip import Trip, record

__all__ = [
    "IDM",
    "Camera",
    "Policy",
    "Replay",
    "Scene",
    "Trip",
    "constant_speed",
    "human",
    "no_action",
    "record",
    "sanity_drivers",
]

gymnasium.register(
    "lowland/TrafficReplay-v0",
    entry_point="lowland.envs.traffic:TrafficReplay",
    vector_entry_point="lowland.envs.traffic:TrafficReplayVector",
)
