"""A dot in rooms: walls stop it, doors let it through."""

from __future__ import annotations

import pytest
import torch

from lowland.envs.rooms_trial import OracleRooms, crowd, goal_planner, judge, straight
from lowland.envs.two_rooms import (
    DOT,
    REACHED,
    STEP,
    THICK,
    Tasks,
    fixed_rooms,
    opposite_rooms,
    random_rooms,
    record_rooms,
    row_of_rooms,
    run_rooms,
)  # fmt: skip
from lowland.errors import OptionError, ShapeError


def pushed(start: list[float], action: list[float], times: int) -> torch.Tensor:
    place = torch.tensor([start])
    for _ in range(times):
        place = fixed_rooms(1).move(place, torch.tensor([action]))
    return place[0]


def test_a_wall_stops_a_dot_and_does_not_let_it_slide() -> None:
    """The nearest a dot comes is its radius and half a wall, to a twelfth of a step; the other part stops too."""
    x, y = pushed([0.3, 0.2], [1.0, 0.2], 20).tolist()
    assert 0.5 - THICK - DOT - STEP / 12 <= x <= 0.5 - THICK - DOT
    assert y == pytest.approx(0.2 + 0.2 * (x - 0.3), abs=1e-5)


def test_a_door_lets_it_through_and_the_edge_stops_it() -> None:
    x, y = pushed([0.3, 0.5], [1.0, 0.0], 40).tolist()
    assert y == 0.5
    assert 1 - DOT - STEP / 12 - 1e-6 <= x <= 1 - DOT + 1e-6


def test_starts_and_goals_are_free_and_apart() -> None:
    rooms = random_rooms(200, torch.Generator().manual_seed(0))
    tasks = opposite_rooms(rooms)
    assert not bool((rooms.blocked(tasks.start) | rooms.blocked(tasks.goal)).any())
    wall = rooms.walls[:, 0, 0]
    assert bool(((tasks.start[:, 0] - wall) * (tasks.goal[:, 0] - wall) < 0).all())


def test_so_many_walls_are_between_start_and_goal() -> None:
    rooms = row_of_rooms(100, walls=3)
    for apart in (1, 2, 3):
        tasks = opposite_rooms(rooms, apart=apart)
        low, high = (4 * tasks.start[:, 0]).floor(), (4 * tasks.goal[:, 0]).floor()
        assert set((low - high).abs().tolist()) == {float(apart)}
        assert not bool((rooms.blocked(tasks.start) | rooms.blocked(tasks.goal)).any())
    with pytest.raises(OptionError, match="1 to 3 of them can be between, not 4"):
        opposite_rooms(rooms, apart=4)


def test_a_driver_is_asked_only_for_episodes_that_go_on() -> None:
    """The first dot arrives at once; the numbers of the episodes tell which are left."""
    tasks = Tasks(fixed_rooms(2), torch.tensor([[0.2, 0.2], [0.2, 0.8]]), torch.tensor([[0.2, 0.3], [0.2, 0.1]]))
    asked = []

    def drive(images: torch.Tensor, places: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        asked.append(rows.tolist())
        return straight(tasks)(images, places, rows)

    reached, path = run_rooms(tasks, drive, 20)
    assert reached.tolist() == [True, True]
    assert asked[0] == [0, 1]
    assert asked[-1] == [1]
    assert len(asked) < 20
    assert torch.equal(path[0, -1], path[0, len(asked) // 2])


def test_the_picture_shows_the_dot_where_it_is() -> None:
    place = torch.tensor([[0.25, 0.75]])
    image = fixed_rooms(1).draw(place, 32)[0]
    row, column = divmod(int(image[0].argmax()), 32)
    assert abs((column + 0.5) / 32 - 0.25) <= 1 / 32
    assert abs((row + 0.5) / 32 - 0.75) <= 1 / 32
    assert int(image[1, 2, 16]) > 200
    assert (int(image[1, 16, 16]), int(image[1, 2, 4])) == (0, 0)


def test_a_straight_line_ends_at_the_wall_and_plans_in_the_true_rooms_go_through_the_door() -> None:
    tasks = Tasks(fixed_rooms(2), torch.tensor([[0.2, 0.2], [0.2, 0.5]]), torch.tensor([[0.8, 0.2], [0.8, 0.5]]))
    reached, path = run_rooms(tasks, straight(tasks), 30)
    assert reached.tolist() == [False, True]
    assert float(path[0, :, 0].max()) < 0.5
    drive = goal_planner(OracleRooms(), crowd(128, 3), 20, tasks, 32, torch.Generator().manual_seed(0))
    found = judge(tasks, drive, 40, 32)
    assert found["success"] == 100
    assert float((found["path"][:, -1] - tasks.goal).norm(dim=1).max()) <= REACHED


def test_a_log_of_rooms_shows_what_walls_do() -> None:
    log = record_rooms(fixed_rooms, episodes=50, steps=30, size=16)
    seen = [path["observation"].flatten(1) for path in log.paths]
    still = torch.cat([(images[1:] == images[:-1]).all(dim=1) for images in seen])
    assert float(still.float().mean()) > 0.02


def test_rooms_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="1 to 5 walls"):
        row_of_rooms(1, walls=6)
    with pytest.raises(OptionError, match="at least 1 episode"):
        record_rooms(fixed_rooms, 0, 5)
    tasks = opposite_rooms(fixed_rooms(2))
    with pytest.raises(ShapeError, match="must return actions"):
        run_rooms(tasks, lambda images, places, rows: torch.zeros(2, 3), 1)
