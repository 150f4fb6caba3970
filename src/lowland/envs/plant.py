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
from lowland.data.gym_record import open_plant
from lowland.errors import DomainError, OptionError
from lowland.worlds.base import State

_TRIES = 1000


class PlantRuns(NamedTuple):
    """`observations` (N, T + 1, D), `actions` (N, T, A) as fractions of their bounds, `rewards` (N, T).

    `alive` (N, T + 1) is 1 until the plant ends and 0 afterwards, where the observation stays and nothing is paid.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    alive: Tensor


@torch.no_grad()
def run_plant(
    environment: str,
    policy: Callable[[State], Tensor],
    episodes: int,
    steps: int,
    seed: int = 0,
    accept: Callable[[np.ndarray], bool] | None = None,
) -> PlantRuns:
    """Run a policy for T steps in N copies of an environment, or until each ends.

    Args:
        environment: its id in Gymnasium; actions must be bounded.
        policy: {"observation": (N, D), "reward": (N,), "alive": (N,)} → actions (N, A) as fractions of their bounds;
            the last two are those of the step before.
        episodes, steps: N and T; fewer steps are returned if all episodes have ended by then.
        seed: of the initial states.
        accept: whether an observation may be an initial one; initial states are drawn until it returns true.

    Raises:
        OptionError: for an environment whose actions are not a bounded box, or without an acceptable start.
        DomainError: for an action that is outside its bounds or not finite.

    >>> runs = run_plant("Pendulum-v1", lambda state: torch.zeros(2, 1), episodes=2, steps=5)
    >>> runs.observations.shape, runs.rewards.shape
    (torch.Size([2, 6, 3]), torch.Size([2, 5]))
    """
    if min(episodes, steps) < 1:
        raise OptionError(f"At least 1 episode of at least 1 step is needed, but they are {episodes} and {steps}.")
    plants = [open_plant(environment, boxed=True, max_episode_steps=steps + 1) for _ in range(episodes)]
    space = plants[0].action_space
    now = np.stack([_start(plant, seed + 7919 * n, accept) for n, plant in enumerate(plants)])
    seen, taken, paid, alive = [now], [], [np.zeros(episodes, np.float32)], [np.ones(episodes, np.float32)]
    for t in range(steps):
        state = {"observation": now, "reward": paid[-1], "alive": alive[-1]}
        action = policy({name: torch.from_numpy(part).float() for name, part in state.items()})
        if not bool((action.abs() <= 1 + 1e-4).all()):
            raise DomainError(
                f"The policy's action at step {t} is outside [−1, 1], in fractions of its bounds, or not a number: "
                "project it with world.actions.project."
            )
        shares = action.clamp(-1, 1).numpy()
        now, reward, going = now.copy(), np.zeros(episodes, np.float32), alive[-1].copy()
        for n in np.flatnonzero(going):
            action = from_shares(shares[n], space.low.ravel(), space.high.ravel())
            observation, reward[n], ended, _, _ = plants[n].step(action.astype(space.dtype).reshape(space.shape))
            now[n], going[n] = np.ravel(observation), not ended
        seen.append(now)
        taken.append(shares)
        paid.append(reward)
        alive.append(going)
        if not going.any():
            break
    for plant in plants:
        plant.close()
    parts = (seen, taken, paid[1:], alive)
    return PlantRuns(*(torch.from_numpy(np.stack(part, axis=1)).float() for part in parts))


def _start(plant: object, seed: int, accept: Callable[[np.ndarray], bool] | None) -> np.ndarray:
    for attempt in range(_TRIES):
        observation = np.ravel(plant.reset(seed=seed + 104729 * attempt)[0])  # pyright: ignore[reportAttributeAccessIssue]
        if accept is None or accept(observation):
            return observation
    raise OptionError(f"None of {_TRIES} starts of the environment was accepted.")
