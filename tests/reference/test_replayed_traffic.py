"""The traffic that ships: its cars reproduce their log, and the human of the log arrives."""

from __future__ import annotations

import pytest
import torch

from lowland.data.traffic import traffic
from lowland.envs.drivers import human, no_action
from lowland.envs.replay import Replay
from lowland.worlds.kinematics import advance


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay(traffic("validation")[0])


def test_logged_cars_reproduce_their_log(replay: Replay) -> None:
    """From their first state on, by their actions alone, neither clipped nor smoothed, over the whole section."""
    scene = replay.scene
    replay.reset(torch.arange(0, len(replay), 9))
    rows, own, length = replay.rows, replay.own.double(), replay.size[:, 0].double()
    driven = (scene.stop[rows] - rows).max().item() // 2
    moving = torch.ones(len(rows), dtype=torch.bool)
    assert driven > 100
    for step in range(driven):
        now = rows + 2 * step
        left = now + 4 < scene.stop[rows]
        now = torch.where(left, now, rows)
        moving &= ~left | (scene.own[now, 4] > 0.5)
        own = torch.where(left[:, None], advance(own, scene.action[now].double(), length, 0.2), own)
        # Positions of up to 340 m are kept in float32, in steps of 3e-5 m; headings and actions to 6e-8 of themselves.
        gap = (own[:, :2] - scene.own[now + 2, :2]).norm(dim=1)[left & moving]
        assert not len(gap) or float(gap.max()) < 1e-4
    assert int(moving.sum()) > 0.9 * len(rows)


def test_the_human_arrives_and_who_does_not_act_does_not(replay: Replay) -> None:
    """As the test of driving was fixed: human replay in at least 95 %, no action in at most 30 %."""
    chosen = torch.arange(0, len(replay), 5)
    arrived = [sum(row["success"] for row in replay.run(driver, chosen)) for driver in (human, no_action)]
    assert arrived[0] >= 0.95 * len(chosen)
    assert arrived[1] <= 0.3 * len(chosen)
