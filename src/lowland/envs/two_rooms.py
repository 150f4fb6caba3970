"""A dot in a row of rooms, seen from above: walls with a door, which stop it.

The box is [0, 1]², with x to the right and y downwards, and a wall is vertical with one door. A dot that would enter a
wall, or leave the box, stops at the point of contact: it does not slide along, so that a straight line to a goal behind
a wall ends at the wall.

Shape letters: B dots, T steps, W walls, S pixels of a side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowland.data.gym_log import GymLog
from lowland.errors import OptionError, ShapeError

DOT, THICK, DOOR = 0.03, 0.03, 0.1
"""Radius of the dot, half the thickness of a wall, and half the width of a door."""
STEP, REACHED = 0.06, 0.08
"""The longest step in each direction, and the distance from a goal at which it is reached."""
AWAY = 0.3
"""Probability with which a walk that was stopped turns away at the next step."""
_PARTS = 12


class Rooms(NamedTuple):
    """Walls of B boxes, (B, W, 2) each: x of the wall, and y of the middle of its door."""

    walls: Tensor

    def take(self, rows: Tensor) -> Rooms:
        """Those of some boxes."""
        return Rooms(self.walls[rows])

    def blocked(self, place: Tensor) -> Tensor:
        """Whether a dot cannot be at a place (B, 2), (B,)."""
        x, y = place[:, None, 0], place[:, None, 1]
        inside = (x - self.walls[..., 0]).abs() < THICK + DOT
        door = (y - self.walls[..., 1]).abs() <= DOOR - DOT
        outside = ((place < DOT) | (place > 1 - DOT)).any(dim=1)
        return (inside & ~door).any(dim=1) | outside

    def move(self, place: Tensor, action: Tensor) -> Tensor:
        """Where a dot is after an action in [−1, 1]², (B, 2): `STEP` times the action on, or where a wall stops it.

        >>> rooms = fixed_rooms(2)
        >>> start = torch.tensor([[0.4, 0.2], [0.4, 0.5]])
        >>> after = start
        >>> for _ in range(4):
        ...     after = rooms.move(after, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        >>> [round(x, 2) for x in after[:, 0].tolist()]  # the second goes through the door
        [0.44, 0.64]
        """
        going = torch.ones(len(place), dtype=torch.bool, device=place.device)
        now = place
        for part in range(1, _PARTS + 1):
            tried = place + STEP * action.clamp(-1, 1) * (part / _PARTS)
            going = going & ~self.blocked(tried)
            now = torch.where(going[:, None], tried, now)
        return now

    def draw(self, place: Tensor, size: int = 32) -> Tensor:
        """Images (B, 2, S, S), uint8: the dot as a soft blob, and the walls.

        >>> fixed_rooms(1).draw(torch.tensor([[0.25, 0.5]]), 16).shape
        torch.Size([1, 2, 16, 16])
        """
        at = (torch.arange(size, device=place.device) + 0.5) / size
        away = (at[None, None, :] - place[:, None, None, 0]).square() + (
            at[None, :, None] - place[:, None, None, 1]
        ).square()
        dot = torch.exp(-away / (2 * max(DOT, 0.9 / size) ** 2))
        soft = 1.0 / size
        beside = (at[None, None, None, :] - self.walls[..., 0, None, None]).abs()
        along = (at[None, None, :, None] - self.walls[..., 1, None, None]).abs()
        solid = ((THICK + soft / 2 - beside) / soft).clamp(0, 1) * ((along - DOOR + soft / 2) / soft).clamp(0, 1)
        return (255 * torch.stack([dot, solid.amax(dim=1)], dim=1)).round().to(torch.uint8)

    def free(self, generator: torch.Generator, low: Tensor | float = 0.0, high: Tensor | float = 1.0) -> Tensor:
        """Places (B, 2) where a dot can be, uniform, with x between two bounds."""
        count = len(self.walls)
        place = torch.zeros(count, 2)
        missing = torch.ones(count, dtype=torch.bool)
        low, high = torch.as_tensor(low).expand(count), torch.as_tensor(high).expand(count)
        for _ in range(1000):
            drawn = torch.rand(count, 2, generator=generator)
            drawn[:, 0] = low + (high - low) * drawn[:, 0]
            good = missing & ~self.blocked(drawn)
            place[good] = drawn[good]
            missing = missing & ~good
            if not missing.any():
                return place
        raise OptionError("There is no free place in some rooms: put the walls further apart.")


def fixed_rooms(count: int, generator: torch.Generator | None = None) -> Rooms:
    """Two rooms, the wall in the middle and the door in its middle."""
    return Rooms(torch.full((count, 1, 2), 0.5))


def random_rooms(count: int, generator: torch.Generator | None = None) -> Rooms:
    """Two rooms, with wall and door at other places in each box."""
    generator = generator or torch.Generator().manual_seed(0)
    place = 0.3 + 0.4 * torch.rand(count, 1, generator=generator)
    door = 0.15 + 0.7 * torch.rand(count, 1, generator=generator)
    return Rooms(torch.stack([place, door], dim=2))


def row_of_rooms(count: int, generator: torch.Generator | None = None, walls: int = 4) -> Rooms:
    """A row of rooms whose doors are at the top and at the bottom by turns, so that the way through is long."""
    if not 1 <= walls <= 5:
        raise OptionError(f"A row has 1 to 5 walls, since the rooms between them must hold a dot, not {walls}.")
    place = torch.arange(1, walls + 1) / (walls + 1)
    door = torch.where(torch.arange(walls) % 2 == 0, 0.15, 0.85)
    return Rooms(torch.stack([place, door], dim=1).expand(count, walls, 2).clone())


LAYOUTS: dict[str, Callable[..., Rooms]] = {"fixed": fixed_rooms, "random": random_rooms}


def record_rooms(
    layout: Callable[..., Rooms], episodes: int, steps: int, seed: int = 0, size: int = 32, turn: float = 0.5
) -> GymLog:
    """A log of random walks: images and actions of episodes, nothing else.

    A walk keeps its direction up to Gaussian changes of `turn` rad, at a speed that is drawn anew at each step. Where
    it was stopped it pushes on, or turns anywhere, so that the log shows what walls do. Actions are those asked for.

    Args:
        layout: (count, generator) → the rooms.
        episodes, steps: number and length T.
        seed: of rooms, starts and walks.
        size: S.
        turn: deviation of the change of direction.

    Raises:
        OptionError: for fewer than 1 episode or step.

    >>> log = record_rooms(fixed_rooms, episodes=3, steps=5, size=16)
    >>> log.shape, log.paths[0]["actions"].shape
    ((16, 16, 2), torch.Size([5, 2]))
    """
    if min(episodes, steps) < 1:
        raise OptionError(f"A log needs at least 1 episode and 1 step, but they are {episodes} and {steps}.")
    generator = torch.Generator().manual_seed(seed)
    rooms = layout(episodes, generator)
    place = rooms.free(generator)
    heading = 2 * torch.pi * torch.rand(episodes, generator=generator)
    seen, taken = [rooms.draw(place, size)], []
    for _ in range(steps):
        speed = 0.3 + 0.7 * torch.rand(episodes, generator=generator)
        action = speed[:, None] * torch.stack([heading.cos(), heading.sin()], dim=1)
        after = rooms.move(place, action)
        stopped = (after - place).norm(dim=1) < 0.9 * STEP * speed
        turned = heading + turn * torch.randn(episodes, generator=generator)
        stopped &= torch.rand(episodes, generator=generator) < AWAY
        anywhere = 2 * torch.pi * torch.rand(episodes, generator=generator)
        heading, place = torch.where(stopped, anywhere, turned), after
        seen.append(rooms.draw(place, size))
        taken.append(action)
    images, actions = torch.stack(seen, dim=1).movedim(2, -1), torch.stack(taken, dim=1)
    paths = tuple({"observation": images[n], "actions": actions[n]} for n in range(episodes))
    return GymLog(paths, np.full(2, -1.0, np.float32), np.full(2, 1.0, np.float32), "two rooms")


class Tasks(NamedTuple):
    """Starts and goals of B episodes, (B, 2), and the rooms they are in."""

    rooms: Rooms
    start: Tensor
    goal: Tensor


def opposite_rooms(rooms: Rooms, seed: int = 0, apart: int | None = None) -> Tasks:
    """Starts and goals with so many walls between them, all by default, left to right or right to left.

    Args:
        rooms: with W walls each, in the order of their x.
        seed: of places, directions and, with fewer than all walls, of the first room.
        apart: walls between start and goal, from 1 to W.

    Raises:
        OptionError: for another number of walls.

    >>> tasks = opposite_rooms(fixed_rooms(4))
    >>> bool(((tasks.start[:, 0] - 0.5) * (tasks.goal[:, 0] - 0.5) < 0).all())
    True
    """
    count, walls, _ = rooms.walls.shape
    apart = walls if apart is None else apart
    if not 1 <= apart <= walls:
        raise OptionError(f"There are {walls} walls, so that 1 to {walls} of them can be between, not {apart}.")
    generator = torch.Generator().manual_seed(seed)
    ends = torch.cat([torch.zeros(count, 1), rooms.walls[..., 0], torch.ones(count, 1)], dim=1)
    first = torch.randint(walls - apart + 1, (count,), generator=generator)
    every = torch.arange(count)
    left = rooms.free(generator, ends[every, first], ends[every, first + 1])
    right = rooms.free(generator, ends[every, first + apart], ends[every, first + apart + 1])
    swap = torch.rand(count, 1, generator=generator) < 0.5
    return Tasks(rooms, torch.where(swap, right, left), torch.where(swap, left, right))


Driver = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(images (B, 2, S, S), places (B, 2), numbers of the episodes (B,)) → actions (B, 2); only an oracle looks at the
places. Episodes whose goal was reached are left out."""


@torch.no_grad()
def run_rooms(tasks: Tasks, driver: Driver, steps: int, size: int = 32) -> tuple[Tensor, Tensor]:
    """Let a driver act for T steps: whether each goal was reached (B,), and the places (B, T + 1, 2).

    A dot stays where it reached its goal.

    Args:
        tasks: rooms, starts and goals.
        driver: acts.
        steps: T.
        size: S.

    Raises:
        ShapeError: for actions of another shape.
    """
    place, path = tasks.start, [tasks.start]
    reached = torch.zeros(len(place), dtype=torch.bool)
    for _ in range(steps):
        left = (~reached).nonzero()[:, 0]
        if len(left):
            rooms, now = tasks.rooms.take(left), place[left]
            action = driver(rooms.draw(now, size), now, left)
            if action.shape != now.shape:
                raise ShapeError(f"A driver must return actions {tuple(now.shape)}, but it gave {tuple(action.shape)}.")
            place = place.index_copy(0, left, rooms.move(now, action))
            reached = reached | ((place - tasks.goal).norm(dim=1) <= REACHED)
        path.append(place)
    return reached, torch.stack(path, dim=1)
