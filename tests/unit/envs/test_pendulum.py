"""Gymnasium's pendulum: the cost is minus its reward, and a swing-up stays upright."""

from __future__ import annotations

import torch

from lowland.envs.pendulum import PENDULUM, swing_cost, swung_up
from lowland.envs.plant import run_plant


def test_the_cost_is_minus_the_reward_of_the_plant() -> None:
    generator = torch.Generator().manual_seed(0)
    runs = run_plant(PENDULUM, lambda state: 2 * torch.rand(4, 1, generator=generator) - 1, episodes=4, steps=20)
    for t in range(20):
        cost = swing_cost({"observation": runs.observations[:, t]}, runs.actions[:, t])
        torch.testing.assert_close(cost, -runs.rewards[:, t], atol=1e-4, rtol=1e-4)


def test_one_step_away_from_upright_is_no_swing_up() -> None:
    turn = torch.zeros(3, 80)
    turn[0, 10], turn[1, 40], turn[2, -1] = 3.0, 0.29, 0.31
    observations = torch.stack([turn.cos(), turn.sin(), torch.zeros_like(turn)], dim=-1)
    assert swung_up(observations) == 2 / 3
