"""Environments: traffic replayed from a log, by itself and for Gymnasium.

`gymnasium.make("lowland/TrafficReplay-v0")` finds it after `import gymnasium` and `import lowland`; where the second
should not be written, `gymnasium.make("lowland.envs:lowland/TrafficReplay-v0")` does both.
"""

from __future__ import annotations

from lowland.envs.drivers import IDM, constant_speed, human, no_action, sanity_drivers
from lowland.envs.episodes import Episodes, Logs, read_logs
from lowland.envs.picture import Camera
from lowland.envs.replay import Policy, Replay
from lowland.envs.scene import Scene
from lowland.envs.trajectory import Trajectory, record
from lowland.registry import register_environments

__all__ = [
    "IDM",
    "Camera",
    "Episodes",
    "Logs",
    "Policy",
    "Replay",
    "Scene",
    "Trajectory",
    "constant_speed",
    "human",
    "no_action",
    "read_logs",
    "record",
    "sanity_drivers",
]

register_environments()
