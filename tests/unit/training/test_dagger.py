"""Dataset aggregation: who drives in which round, and whose actions are learned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowland.data.traffic import traffic
from lowland.envs.episodes import Episodes
from lowland.envs.replay import Replay
from lowland.training.dagger import dagger
from lowland.worlds.base import State


class Braking:
    """A teacher that brakes, and counts the rows that it has."""

    rows = 0

    def __call__(self, state: State) -> Tensor:
        if self.rows:
            assert len(state["own"]) == self.rows
        self.rows = len(state["own"])
        return torch.tensor([[-0.5, 0.0]]).expand(self.rows, 2)

    def reset(self) -> None:
        self.rows = 0

    def select(self, rows: Tensor) -> None:
        self.rows = len(rows)


class Actor(nn.Module):
    """Accelerates, and counts the states that it acts in."""

    acted = 0

    def forward(self, state: State) -> Tensor:
        assert not self.training
        self.acted += len(state["own"])
        return torch.tensor([[0.5, 0.0]]).expand(len(state["own"]), 2)


@pytest.mark.parametrize("rounds", [1, 2])
def test_the_teacher_drives_first_and_labels_the_rest(rounds: int) -> None:
    actor, teacher = Actor(), Braking()
    episodes = [Episodes(Replay(traffic("validation")[0]), torch.arange(0, 400, 100))]
    counts = []
    for x, y in dagger(actor, teacher, episodes, rounds):
        actor.train()
        assert len(x["own"]) == len(y)
        assert (y[:, 0] == -0.5).all()  # the teacher's, also where the actor drove
        counts.append(len(y))
        assert actor.acted == counts[-1] - counts[0]
    assert len(counts) == rounds
    # The teacher slows down from the first step of its own episodes.
    assert float(x["own"][: counts[0], 4].min()) < 1.0  # pyright: ignore[reportPossiblyUnboundVariable]
