"""What a model promised and what came are compared over the same steps: those up to the true end of an episode."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lowland.domains import Box
from lowland.planning.policies import Policy
from lowland.recipes.drive_logs import read_logs
from lowland.recipes.drive_promises import STRETCHES, promises
from lowland.worlds.base import State
from lowland.worlds.traffic import TrafficWorld

HORIZON = 12


class Blind(Policy):
    """Full throttle, whatever is ahead."""

    def __init__(self) -> None:
        super().__init__(lambda state: state["own"], 5, Box(2, low=-1.0, high=1.0), hidden=(1,))

    def forward(self, state: State, noise: Tensor | None = None) -> Tensor:
        return torch.tensor([[1.0, 0.0]]).expand(len(state["own"]), 2)


def speed(state: State) -> Tensor:
    return state["own"][:, 4]


def test_both_costs_are_those_of_the_steps_that_were_driven() -> None:
    """The own car's speed is foreseen exactly, so that the true cost differs at crashes alone, each of which costs 1.

    In imagination the car goes on and gets faster and faster: nothing of that may count.
    """
    logs = read_logs("", 10, "cpu", 1)
    unseen = logs.pieces(20, HORIZON, torch.Generator().manual_seed(0), "held")
    ((replay, episodes),) = courses = logs.courses(12, "held")
    told, true, policy = [], [], Blind()
    state = replay.reset(episodes)
    while bool((running := replay.reason == 0).any()):
        state, info = replay.step(policy(state))
        fallen = info["crashed"] | info["off_road"]
        told.append(speed(state)[running])
        true.append(torch.where(fallen, 1.0, speed(state))[running])
    assert HORIZON < len(true) <= STRETCHES * HORIZON
    assert int((replay.reason > 1).sum()) > 0
    found = promises(policy, TrafficWorld(), courses, unseen, HORIZON, 2, speed)
    # Speeds in float32 are added up over 48 steps at most.
    assert found["told"] == pytest.approx(float(torch.cat(told).mean()), rel=1e-5)
    assert found["true"] == pytest.approx(float(torch.cat(true).mean()), rel=1e-5)
    assert found["told"] > found["true"]
    assert math.isfinite(found["unsure"])
    assert math.isfinite(found["unsure_true"])
