"""Drivers judged by the episodes that they drove: success with its interval, differences on the same episodes.

The rows of a driver are those of `lowland.envs.episodes.drive`, one for each episode. Seeds of training are given as
several lists of rows of the same episodes.

Shape letters: S seeds of training, N episodes.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from lowland.envs.episodes import Episodes
from lowland.evaluation.success import Interval, mean_rate
from lowland.evaluation.verdict import verdict
from lowland.planning.control import Controller

Rows: TypeAlias = Sequence[Mapping[str, Any]]
ENDS = {"reached": "arrives", "time": "runs out of time", "off road": "leaves the road", "collision": "collides"}
"""How an episode ends, in words, by the `reason` of its row."""


def success_table(seeds: Sequence[Rows]) -> npt.NDArray[np.float64]:
    """Successes as 0 and 1, (S, N)."""
    return np.array([[float(row["success"]) for row in rows] for rows in seeds])


def percent(seeds: Sequence[Rows]) -> Interval:
    """Success in percent, the mean over seeds, with Wilson's interval for N episodes.

    >>> rows = [{"success": True}, {"success": False}]
    >>> percent([rows, rows]).value
    50.0
    """
    return Interval(*(100 * number for number in mean_rate(success_table(seeds))))


def driving_measures(rows: Rows) -> dict[str, float]:
    """Success in percent, mean distance in m, and collisions and departures from the road in percent of the episodes.

    >>> driving_measures([{"success": False, "distance": 8.0, "reason": "collision"}])
    {'success': 0.0, 'distance': 8.0, 'collision': 100.0, 'off road': 0.0}
    """
    found = {name: statistics.fmean(scale * row[name] for row in rows)
             for name, scale in (("success", 100.0), ("distance", 1.0))}  # fmt: skip
    for reason in ("collision", "off road"):
        found[reason] = statistics.fmean(100.0 * (row["reason"] == reason) for row in rows)
    return found


def compare_success(
    outcomes: Mapping[str, Sequence[Rows]], pairs: Sequence[tuple[str, str]], words: tuple[str, str] = ("more", "less")
) -> list[dict[str, Any]]:
    """For each pair of drivers, by how many points the first succeeds more often on the same episodes.

    Args:
        outcomes: by driver, the rows of each seed.
        pairs: of drivers.
        words: see `lowland.evaluation.verdict`.

    Returns:
        [{"first", "second", "points", "low", "high", "word"}], the points with their 95 % interval.

    >>> always, never = ([[{"success": one}] * 6] for one in (True, False))
    >>> (row,) = compare_success({"ours": always, "theirs": never}, [("ours", "theirs")])
    >>> row["points"], row["word"]
    (100.0, 'more')
    """
    tables = {name: success_table(seeds) for name, seeds in outcomes.items()}
    rows = []
    for first, second in pairs:
        (value, low, high), word = verdict(tables[first], tables[second], words)
        points = {"points": 100 * value, "low": 100 * low, "high": 100 * high}
        rows.append({"first": first, "second": second, **points, "word": word})
    return rows


def telling_episode(outcomes: Mapping[str, Rows], main: str) -> int:
    """The number of the episode that tells drivers apart best: `main` arrives, if it can, and few of the others do.

    >>> rows = {"ours": [True, True, False], "theirs": [True, False, False]}
    >>> telling_episode({name: [{"success": one} for one in ends] for name, ends in rows.items()}, "ours")
    1
    """
    ends = {name: [row["success"] for row in rows] for name, rows in outcomes.items()}
    return max(range(len(ends[main])), key=lambda k: (ends[main][k], -sum(each[k] for each in ends.values())))


@torch.no_grad()
def latency_of_one(controller: Controller, episodes: Episodes, steps: int) -> dict[str, float]:
    """Wall times in which a controller plans for one car alone, in milliseconds; see `Controller.latency`.

    Args:
        controller: that has not planned yet.
        episodes: the first of which is driven.
        steps: so many, whether or not the episode ends before.
    """
    state = episodes.replay.reset(episodes.numbers[:1])
    for _ in range(steps):
        state, _ = episodes.replay.step(controller(state))
    return controller.latency()
