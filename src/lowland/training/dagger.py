"""Dataset aggregation: an actor learns what a teacher would do in the states that the actor reaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from lowland.envs.episodes import Episodes
from lowland.envs.replay import Replay
from lowland.worlds.base import State


class Teacher(Protocol):
    """Acts on a batch of states, as `planning.Controller` does; it may keep a plan for each row."""

    def __call__(self, state: State) -> Tensor: ...

    def reset(self) -> None:
        """Forget all rows."""

    def select(self, rows: Tensor) -> None:
        """Keep only these rows, whose episodes continue."""


def dagger(
    actor: nn.Module, teacher: Teacher, episodes: Sequence[Episodes], rounds: int
) -> Iterator[tuple[State, Tensor]]:
    """Yield, after each round, all states (B, …) so far with the teacher's actions (B, A), to train the actor on.

    Source: Ross, Gordon & Bagnell, "A reduction of imitation learning and structured prediction to no-regret online
    learning" (2011). In the first round the teacher drives, in the others the actor does, and the teacher labels the
    states that it reaches. Each round drives its own share of the episodes.

    Args:
        actor: acts on a batch of states; the caller trains it between rounds.
        teacher: whose actions are learned.
        episodes: to drive in.
        rounds: how many parts they are cut into.
    """
    found: list[tuple[State, Tensor]] = []
    for number in range(rounds):
        driver = actor.eval() if number else None
        for replay, numbers in episodes:
            if len(some := numbers[number::rounds]):
                found += _labelled(replay, some, teacher, driver)
        states = {name: torch.cat([state[name] for state, _ in found]) for name in found[0][0]}
        yield states, torch.cat([action for _, action in found])


def _labelled(
    replay: Replay, numbers: Tensor, teacher: Teacher, driver: nn.Module | None
) -> list[tuple[State, Tensor]]:
    """The states of some episodes with the teacher's actions there; without a driver the teacher drives."""
    found, state = [], replay.reset(numbers)
    teacher.reset()
    while len(replay.episodes):
        action = teacher(state)
        found.append((state, action))
        with torch.no_grad():
            state, info = replay.step(action if driver is None else driver(state))
        left = (~info["done"]).nonzero()[:, 0]
        if len(left) < len(action):
            replay.select(left)
            teacher.select(left)
            state = {name: leaf[left] for name, leaf in state.items()}
    return found
