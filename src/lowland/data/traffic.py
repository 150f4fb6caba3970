"""Simulated traffic for training and testing drivers; it ships with the package.

The parts are separate simulations with different seeds, so no car in the test has a neighbour in training.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from lowland.data.logs.own import load_tracks
from lowland.data.tracks import Tracks
from lowland.errors import OptionError, nearest

TRAIN_SEEDS = (0, 1, 2, 3, 4, 5)
VALIDATION_SEEDS = (100,)
TEST_SEEDS = (200, 201)
SEEDS = {"train": TRAIN_SEEDS, "validation": VALIDATION_SEEDS, "test": TEST_SEEDS}
MINUTES = 8.0
"""Length of each recording."""


def traffic(part: Literal["train", "validation", "test"] = "train", count: int = 0) -> list[Tracks]:
    """The recordings of a part, one per simulation: six lanes, about 42 vehicles per km and lane, mean speed 9 m/s.

    `lowland data make traffic --seed N --minutes 8` generates them again (see `lowland.data.simulate`).

    Args:
        part: "train", "validation" or "test".
        count: number of recordings; 0 for all.

    Raises:
        OptionError: if there is no such part.

    >>> traffic("validation")
    [Tracks(name='traffic-100', vehicles=1159, rows=287670, seconds=480, lanes=6)]
    """
    if part not in SEEDS:
        raise OptionError(f"There is no part {part!r} of the traffic. {nearest(part, SEEDS)}")
    folder = files("lowland.data") / "recordings"
    names = [f"traffic-{seed}.npz" for seed in SEEDS[part][: count or None]]
    return [load_tracks((folder / name).read_bytes(), name)[0] for name in names]
