"""Records logs of Gymnasium plants under a policy, by default a random one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from lowland.data.gym_log import GymLog, as_observations, as_tensor, to_shares
from lowland.errors import OptionError

Policy: TypeAlias = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(observation (D,) or (H, W, C), generator) → action, in the units of the environment."""


def record_gym_log(
    environment: str,
    steps: int = 20_000,
    seed: int = 0,
    policy: Policy | None = None,
    longest: int | None = None,
    gusts: float = 0.0,
    outcomes: bool = False,
) -> GymLog:
    """Run a policy in a Gymnasium environment and record the transitions.

    Args:
        environment: its id, such as "Pendulum-v1".
        steps: total number of transitions.
        seed: of the environment and of the actions.
        policy: chooses the actions; by default they are uniform on the action space.
        longest: steps after which an episode ends, even if the environment would continue.
        gusts: standard deviation of Gaussian noise added to each action before it reaches the plant, in units of half
            its range. The log holds the action before the noise, so it does not fully determine the next state.
        outcomes: record rewards and ends too, as "reward" and "alive" of `GymLog.paths`.

    Raises:
        OptionError: for an environment that Gymnasium does not have or whose spaces are not numeric vectors, for
            negative gusts, or for gusts with discrete actions.

    >>> log = record_gym_log("Pendulum-v1", steps=300)
    >>> len(log.paths), log.sizes, log.low
    (2, (3, 1), array([-2.], dtype=float32))
    """
    import gymnasium

    if steps < 1:
        raise OptionError(f"A log needs at least 1 step, but steps is {steps}.")
    plant = open_plant(environment)
    space = plant.action_space
    bounded = isinstance(space, gymnasium.spaces.Box)
    if not gusts >= 0 or (gusts and not bounded):
        raise OptionError(f"gusts must be at least 0, and 0 where actions are choices, but it is {gusts}.")
    generator = np.random.default_rng(seed)
    choices = int(space.n) if isinstance(space, gymnasium.spaces.Discrete) else 0
    low, high = (None, None) if not isinstance(space, gymnasium.spaces.Box) else (space.low.ravel(), space.high.ravel())
    paths: list[Mapping[str, Tensor]] = []
    left = steps
    while left > 0:
        observation, _ = plant.reset(seed=int(generator.integers(2**31)))
        seen, taken, paid, alive = [_seen(observation)], [], [0.0], [1.0]
        over = False
        while not over and left > 0 and len(taken) < (longest or steps):
            if policy is not None:
                action = np.asarray(policy(seen[-1], generator))
            elif low is None or high is None:
                action = np.asarray(generator.integers(choices))
            else:
                action = generator.uniform(low, high).astype(space.dtype).reshape(space.shape or ())
            done = action
            if gusts and low is not None and high is not None:
                gust = 0.5 * (high - low) * gusts * generator.normal(size=low.shape)
                done = np.clip(action.ravel() + gust, low, high).astype(low.dtype).reshape(np.shape(action))
            observation, reward, terminated, truncated, _ = plant.step(done)
            seen.append(_seen(observation))
            taken.append(np.ravel(action))
            paid.append(float(reward))
            alive.append(float(not terminated))
            over, left = terminated or truncated, left - 1
        actions = np.stack(taken)
        shares = np.eye(choices)[actions[:, 0]] if low is None or high is None else to_shares(actions, low, high)
        path = {"observation": as_tensor(as_observations(np.stack(seen))), "actions": as_tensor(shares)}
        if outcomes:
            path |= {"reward": as_tensor(np.array(paid)), "alive": as_tensor(np.array(alive))}
        paths.append(path)
    plant.close()
    return GymLog(tuple(paths), low, high, environment)


def _seen(observation: np.ndarray) -> np.ndarray:
    """A copy, since a plant may write the next observation into the same memory; flat, unless it is an image."""
    image = observation.ndim == 3 or (observation.ndim == 2 and observation.dtype == np.uint8)
    return np.array(observation) if image else observation.flatten()


def open_plant(environment: str, boxed: bool = False, **options: Any) -> Any:
    """An environment of Gymnasium whose observations are a box, and whose actions a bounded box or choices.

    Args:
        environment: its id.
        boxed: refuse choices.
        options: of `gymnasium.make`.

    Raises:
        OptionError: for an environment that Gymnasium does not have or cannot make, or with other spaces.

    >>> open_plant("CartPole-v1", boxed=True)
    Traceback (most recent call last):
    lowland.errors.OptionError: CartPole-v1 has discrete actions, but plans choose real-valued ones: name another plant.
    """
    import gymnasium

    try:
        plant = gymnasium.make(environment, **options)
    except (gymnasium.error.Error, ImportError, ValueError) as error:
        why = " ".join(str(error).split()).rstrip(".?")
        more = " Its package comes with pip install 'lowland[plants]'." if "mujoco" in why.lower() else ""
        raise OptionError(f"Gymnasium cannot make the environment {environment!r}: {why}.{more}") from None
    space = plant.action_space
    bounded = isinstance(space, gymnasium.spaces.Box) and bool(np.isfinite([space.low, space.high]).all())
    if not isinstance(plant.observation_space, gymnasium.spaces.Box) or not (
        bounded or isinstance(space, gymnasium.spaces.Discrete)
    ):
        raise OptionError(
            f"{environment} has the observations {plant.observation_space} and the actions {space}, but a log needs a "
            "Box of observations, and a bounded Box or numbers of actions."
        )
    if boxed and not bounded:
        raise OptionError(f"{environment} has discrete actions, but plans choose real-valued ones: name another plant.")
    return plant
