"""Environments: traffic replayed from a log, used directly or through Gymnasium, and the recorder of logs of plants.

`import gymnasium, lowland` makes `gymnasium.make("lowland/TrafficReplay-v0")` work. So does
`gymnasium.make("lowland.envs:lowland/TrafficReplay-v0")` without importing Lowland.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium

if TYPE_CHECKING:
    from lowland.envs.drivers import IDM, constant_speed, human, no_action, sanity_drivers
    from lowland.envs.episodes import Episodes, Logs, read_logs
    from lowland.envs.picture import Camera
    from lowland.envs.record_log import RecordLog
    from lowland.envs.replay import Policy, Replay
    from lowland.envs.scene import Scene
    from lowland.envs.trajectory import Trajectory, record

_NAMES = {
    "IDM": "drivers",
    "Camera": "picture",
    "Episodes": "episodes",
    "Logs": "episodes",
    "read_logs": "episodes",
    "Policy": "replay",
    "RecordLog": "record_log",
    "Replay": "replay",
    "Scene": "scene",
    "Trajectory": "trajectory",
    "constant_speed": "drivers",
    "human": "drivers",
    "no_action": "drivers",
    "record": "trajectory",
    "sanity_drivers": "drivers",
}
__all__ = [
    "IDM",
    "Camera",
    "Episodes",
    "Logs",
    "Policy",
    "RecordLog",
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

# Gymnasium does not discover environments of packages by itself, so importing this module registers them.
if "lowland/TrafficReplay-v0" not in gymnasium.registry:
    gymnasium.register(
        "lowland/TrafficReplay-v0",
        entry_point="lowland.envs.traffic:TrafficReplay",
        vector_entry_point="lowland.envs.traffic:TrafficReplayVector",
    )


def __getattr__(name: str) -> Any:
    # Registering is fast; the environments themselves import torch.
    if name not in _NAMES:
        raise AttributeError(f"module 'lowland.envs' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lowland.envs.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
