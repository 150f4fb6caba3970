"""Runs policies in a Gymnasium plant: several episodes at once, as one batch for the policy.

Shape letters: N episodes, T steps, D size of an observation, A of an action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowland.data.gym_log import from_shares
from lowland.errors import DomainError, OptionError
from lowland.worlds.base import State

_TRIES = 1000


class PlantRuns(NamedTuple):
    """`observations` (N, T + 1, D), `actions` (N, T, A) as fractions of their bounds, `rewards` (N, T)."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor


@torch.no_grad()
def run_plant(
    environment: str,
    policy: Callable[[State], Tensor],
    episodes: int,
    steps: int,
    seed: int = 0,
    accept: Callable[[np.ndarray], bool] | None = None,
) -> PlantRuns:
    """Run a policy for T steps in N copies of an environment that does not end, such as a pendulum.

    Args:
        environment: its id in Gymnasium; actions must be bounded.
        policy: {"observation": (N, D)} → actions (N, A) as fractions of their bounds.
        episodes, steps: N and T.
        seed: of the initial states.
        accept: whether an observation may be an initial one; initial states are drawn until it returns true.

    Raises:
        OptionError: for an environment whose actions are not a bounded box, or without an acceptable start.
        DomainError: for an action that is outside its bounds or not finite.

    >>> runs = run_plant("Pendulum-v1", lambda state: torch.zeros(2, 1), episodes=2, steps=5)
    >>> runs.observations.shape, runs.rewards.shape
    (torch.Size([2, 6, 3]), torch.Size([2, 5]))
    """
    import gymnasium

    plants = [gymnasium.make(environment, max_episode_steps=steps + 1) for _ in range(episodes)]
    space = plants[0].action_space if plants else None
    if not isinstance(space, gymnasium.spaces.Box) or steps < 1:
        raise OptionError(f"{environment} needs a box of actions, and at least 1 episode of at least 1 step.")
    now = np.stack([_start(plant, seed + 7919 * n, accept) for n, plant in enumerate(plants)])
    seen, taken, paid = [now], [], []
    for t in range(steps):
        action = policy({"observation": torch.from_numpy(now).float()})
        if not bool((action.abs() <= 1 + 1e-4).all()):
            raise DomainError(
                f"The policy's action at step {t} is outside [−1, 1], in fractions of its bounds, or not a number: "
                "project it with world.actions.project."
            )
        shares = action.clamp(-1, 1).numpy()
        moved = [
            plant.step(
                from_shares(share, space.low.ravel(), space.high.ravel()).astype(space.dtype).reshape(space.shape)
            )
            for plant, share in zip(plants, shares, strict=True)
        ]
        now = np.stack([np.ravel(one[0]) for one in moved])
        seen.append(now)
        taken.append(shares)
        paid.append(np.array([one[1] for one in moved], dtype=np.float32))
    for plant in plants:
        plant.close()
    observations, actions, rewards = (torch.from_numpy(np.stack(part, axis=1)).float() for part in (seen, taken, paid))
    return PlantRuns(observations, actions, rewards)


def _start(plant: object, seed: int, accept: Callable[[np.ndarray], bool] | None) -> np.ndarray:
    for attempt in range(_TRIES):
        observation = np.ravel(plant.reset(seed=seed + 104729 * attempt)[0])  # pyright: ignore[reportAttributeAccessIssue]
        if accept is None or accept(observation):
            return observation
    raise OptionError(f"None of {_TRIES} starts of the environment was accepted.")
