"""Replay: a logged car reproduces its log, episodes end as they should, and rows of a batch are what they are alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.data.tracks import Road, Tracks
from lowland.envs.drivers import human, no_action, sanity_drivers
from lowland.envs.replay import Replay
from lowland.envs.scene import ALONG
from lowland.errors import DataError, DomainError, OptionError, ShapeError
from lowland.worlds.driving_costs import DrivingCost
from lowland.worlds.kinematics import advance


def blind(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.tensor([[1.0, 0.0]]).expand(len(state["own"]), 2)


def test_the_logged_actions_reproduce_the_log(log: Tracks) -> None:
    replay = Replay(log)
    state = replay.reset()
    worst = 0.0
    for step in range(40):
        rows = replay.rows + step * 2
        action = replay.scene.action[rows]
        assert float(action.abs().max()) < 1
        state, _ = replay.step(action)
        gap = (state["own"] - replay.scene.own[rows + 2]).abs().amax(dim=1)
        worst = max(worst, float(gap[replay.reason == 0].max()))
    # Positions of up to 200 m in float32 are rounded to 8e-6 m, and 40 steps add up.
    assert worst < 2e-3


def test_the_human_reaches_the_end_and_a_car_that_does_not_brake_crashes(log: Tracks) -> None:
    replay = Replay(log)
    assert all(row["success"] and row["reason"] == "reached" for row in replay.run(human))
    chosen = torch.arange(1, len(replay), 3)
    for name, driver in sanity_drivers().items():
        assert [row["episode"] for row in replay.run(driver, chosen, batch=4)] == chosen.tolist(), name
    assert "collision" in {row["reason"] for row in replay.run(blind)}


def test_a_car_that_turns_leaves_the_road(log: Tracks) -> None:
    alone = log.of(log.vehicles[:1])
    rows = Replay(alone).run(lambda state: torch.tensor([[0.0, 1.0]]))
    assert rows[0]["reason"] == "off road"


def test_a_car_that_stands_runs_out_of_time(log: Tracks) -> None:
    alone = log.of(log.vehicles[:1])
    rows = Replay(alone, limit=4.0).run(lambda state: torch.tensor([[-1.0, 0.0]]))
    assert rows[0]["reason"] == "time"
    assert rows[0]["seconds"] == 4.0


def test_rows_do_not_depend_on_their_batch(log: Tracks) -> None:
    replay = Replay(log)
    assert replay.run(no_action, batch=3) == replay.run(no_action, batch=100)


def test_short_recordings_end_with_the_recording(log: Tracks) -> None:
    short = log.select(log.frame < 60)
    replay = Replay(short, until="recording", frames=40)
    rows = replay.run(human)
    assert len(rows) == sum(stop - start >= 40 for start, stop in short.segments())
    assert all(row["success"] for row in rows)


def test_the_own_car_is_not_among_the_others(log: Tracks) -> None:
    replay = Replay(log, cars=50)
    state = replay.reset()
    there = state["present"] > 0
    way = state["cars"][..., :2] - state["own"][:, None, :2]
    assert float(way.norm(dim=-1)[there].min()) > 3
    assert bool((way.norm(dim=-1)[~there] >= 999).all())
    gap = (way / torch.tensor([ALONG, 1.0])).norm(dim=-1)
    assert bool((gap.diff(dim=1)[there[:, 1:]] >= 0).all())


def test_windows_to_learn_from_follow_the_same_cars(log: Tracks) -> None:
    scene = Replay(log).scene
    rows = scene.starts(steps=5, before=10)[::37]
    states, actions = scene.logged(rows, steps=5, cars=4)
    assert states["own"].shape == (len(rows), 6, 5)
    assert actions.shape == (len(rows), 5, 2)
    moved = advance(states["own"][:, 0], actions[:, 0], states["size"][:, 0, 0], 0.2)
    torch.testing.assert_close(moved, states["own"][:, 1], atol=2e-4, rtol=0)
    there = states["present"].cumprod(dim=1) > 0
    step = states["cars"][:, 1:, :, :2] - states["cars"][:, :-1, :, :2]
    # A velocity is that of the step that led here.
    torch.testing.assert_close(step[there[:, 1:]] / 0.2, states["cars"][:, 1:, :, 2:][there[:, 1:]], atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (torch.full((1, 2), 1.2), DomainError, "shares of its bounds"),
        (torch.full((1, 2), torch.nan), DomainError, "sample 0"),
        (torch.zeros(1, 3), ShapeError, "shape"),
    ],
)
def test_bad_actions_are_named(log: Tracks, action: torch.Tensor, error: type[Exception], words: str) -> None:
    replay = Replay(log)
    replay.reset(torch.arange(1))
    with pytest.raises(error, match=words):
        replay.step(action)


def test_logs_that_are_too_short_are_refused() -> None:
    one, frame = np.ones(30), np.arange(30)
    log = Tracks(one, frame, frame, one, 4.5 * one, 1.8 * one, 0 * one, Road(0.0, 200.0, (0.0, 3.7)))
    with pytest.raises(DataError, match="40 frames in a row"):
        Replay(log)
    with pytest.raises(DataError, match="until='recording'"):
        Replay(log, frames=28)
    with pytest.raises(DataError, match="None of the vehicles"):
        Replay(log, vehicles=[7], frames=28)
    with pytest.raises(DataError, match="fewer steps"):
        Replay(log, until="recording", frames=28).scene.starts(steps=20)


def test_states_have_images_and_their_history(log: Tracks) -> None:
    replay = Replay(log, image=(39, 8), history=4, collision="pixels")
    state = replay.reset(torch.arange(5))
    assert state["image"].shape == (5, 4, 3, 39, 8)
    first = state["image"]
    state, _ = replay.step(None)
    assert torch.equal(state["image"][:, :-1], first[:, 1:])
    again = replay.camera.logged(replay.scene, replay.rows + 2)  # pyright: ignore[reportOptionalMemberAccess]
    assert torch.equal(state["image"][:, -1], again)
    single = Replay(log, image=(39, 8)).reset(torch.arange(5))["image"]
    assert torch.equal(single, first[:, -1])


def test_collisions_in_pixels_are_those_of_the_paper(log: Tracks) -> None:
    replay = Replay(log, image=(117, 24), collision="pixels")
    assert all(row["success"] for row in replay.run(human))
    boxes = {row["episode"]: row["reason"] for row in Replay(log).run(blind)}
    pixels = {row["episode"]: row["reason"] for row in replay.run(blind)}
    assert "collision" in pixels.values()
    # Half a metre of each car may overlap before its pixels count, so that fewer are collisions.
    assert all(boxes[k] == "collision" for k, reason in pixels.items() if reason == "collision")


def test_options_that_do_not_fit_are_refused(log: Tracks) -> None:
    with pytest.raises(OptionError, match="context of 39"):
        Replay(log, image=(39, 8), history=20)
    with pytest.raises(OptionError, match="need an image"):
        Replay(log, history=2)
    with pytest.raises(OptionError, match="not 'forever'"):
        Replay(log, until="forever")  # pyright: ignore[reportArgumentType]


def test_the_cost_of_an_episode_is_its_mean_over_steps(log: Tracks) -> None:
    replay = Replay(log)
    counted = replay.run(human, cost=lambda state, action: torch.ones(len(action)))
    assert {row["cost"] for row in counted} == {1.0}
    price = DrivingCost()
    alone = replay.run(no_action, torch.tensor([5]), cost=price)[0]
    replay.reset(torch.tensor([5]))
    total, steps = 0.0, 0
    while not int(replay.reason[0]):
        state, _ = replay.step(torch.zeros(1, 2))
        total, steps = total + float(price(state)), steps + 1
    assert alone["cost"] == pytest.approx(total / steps, rel=1e-5)
