"""Environments: traffic replayed from a log, by itself and for Gymnasium.

Importing this package makes `lowland/TrafficReplay-v0` known to Gymnasium; without it
`gymnasium.make("lowland.envs:lowland/TrafficReplay-v0")` does both.
"""

from __future__ import annotations

import gymnasium

gymnasium.register(
    "lowland/TrafficReplay-v0",
    entry_point="lowland.envs.traffic:TrafficReplay",
    vector_entry_point="lowland.envs.traffic:TrafficReplayVector",
)
