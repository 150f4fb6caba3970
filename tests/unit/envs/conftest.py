"""A small log of traffic, made by hand: three lanes of cars that follow each other at the speed of their lane."""

from __future__ import annotations

import numpy as np
import pytest

from lowland.data.tracks import Road, Tracks


def log_of(cars: list[tuple[float, float, float]], frames: int = 250, wobble: float = 0.0) -> Tracks:
    """Cars (x at frame 0, y, speed) while they are on 200 m of road; `wobble` is an amplitude in metres of their y."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("vehicle", "frame", "x", "y")}
    for number, (x, y, speed) in enumerate(cars):
        frame = np.arange(frames)
        place = x + speed * 0.1 * frame + 1.5 * np.sin(0.02 * frame + number)
        across = y + wobble * np.sin(0.03 * frame + 2 * number)
        on = (place >= 0) & (place <= 200)
        for name, values in (("vehicle", np.full(frames, number)), ("frame", frame), ("x", place), ("y", across)):
            columns[name].append(values[on])
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    one = np.ones(len(joined["x"]))
    lane = np.floor(joined["y"] / 3.7)
    road = Road(0.0, 200.0, (0.0, 3.7, 7.4, 11.1))
    return Tracks(**joined, length=4.5 * one, width=1.8 * one, lane=lane, road=road, name="by hand")


@pytest.fixture(scope="session")
def log() -> Tracks:
    lanes = ((1.85, 9.0), (5.55, 11.0), (9.25, 13.0))
    return log_of([(-12.0 * k - lane, y, v) for lane, (y, v) in enumerate(lanes) for k in range(8)], wobble=0.3)
