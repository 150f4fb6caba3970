"""Behaviour to learn from: linear policies of several grades, found in the plant by random search.

Shape letters: D size of an observation, A of an action, K directions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lowland.data.gym_log import GymLog
from lowland.data.gym_record import open_plant, record_gym_log
from lowland.errors import OptionError

LONGEST = 1000
"""Steps after which an episode is cut."""


@dataclass(frozen=True)
class LinearBehaviour:
    """a = clip(W (o − m) / d + ε, −1, 1) in fractions of the bounds, with Gaussian noise ε of a given deviation.

    Args:
        weights: W, (A, D).
        mean, deviation: m and d, (D,).
        low, high: bounds of the actions, (A,).
        noise: deviation of ε.
        score: mean return without noise, when it was found.
    """

    weights: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    low: np.ndarray
    high: np.ndarray
    noise: float = 0.0
    score: float = 0.0

    def __call__(self, observation: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The action in the units of the plant."""
        share = self.weights @ ((observation - self.mean) / self.deviation)
        if self.noise:
            share = share + self.noise * generator.normal(size=share.shape)
        return (self.low + (np.clip(share, -1, 1) + 1) / 2 * (self.high - self.low)).astype(np.float32)


def random_search(
    environment: str,
    budget: int,
    seed: int = 0,
    step: float = 0.03,
    noise: float = 0.05,
    directions: int = 8,
    best: int = 4,
) -> list[LinearBehaviour]:
    """Policies of rising grade: W ← W + α / (b σ) Σ_k (R(W + ν δ_k) − R(W − ν δ_k)) δ_k over the b best of K.

    Source: Mania, Guy & Recht 2018, "Simple random search of static linear policies is competitive for reinforcement
    learning", algorithm 2 (ARS V2-t); σ is the deviation of the returns used. E(W) = −R(W) is an energy that is
    minimised without gradients.

    Args:
        environment: id in Gymnasium.
        budget: environment steps in all.
        seed: of plant and directions.
        step, noise, directions, best: α, ν, K and b.

    Returns:
        The policy after each update, the first being W = 0.

    >>> len(random_search("Pendulum-v1", budget=1600, directions=2, best=1))
    2
    """
    if budget < 1 or not 1 <= best <= directions:
        raise OptionError(f"budget must be positive and best in [1, {directions}], but they are {budget} and {best}.")
    plant = open_plant(environment, boxed=True, max_episode_steps=LONGEST)
    generator = np.random.default_rng(seed)
    low, high = plant.action_space.low.ravel(), plant.action_space.high.ravel()
    size = int(np.prod(plant.observation_space.shape or (1,)))
    weights = np.zeros((len(low), size))
    count, mean, square = 1e-2, np.zeros(size), np.full(size, 1e-2)
    found = [LinearBehaviour(weights, mean.copy(), np.ones(size), low, high)]
    used = 0
    while used < budget:
        deviation = np.sqrt(np.maximum(square / count, 1e-8))
        drawn = generator.normal(size=(directions, *weights.shape))
        returns = np.zeros((directions, 2))
        seen: list[np.ndarray] = []
        for k, side in np.ndindex(directions, 2):
            tried = LinearBehaviour(weights + (1 - 2 * side) * noise * drawn[k], mean, deviation, low, high)
            path, returns[k, side] = _episode(plant, tried, generator)
            seen.append(path)
        used += sum(map(len, seen))
        top = np.argsort(-returns.max(axis=1))[:best]
        spread = max(float(returns[top].std()), 1e-8)
        change = np.einsum("k,kad->ad", returns[top, 0] - returns[top, 1], drawn[top])
        weights = weights + step / (best * spread) * change
        for path in seen:
            count += len(path)
            away = path - mean
            mean = mean + away.sum(axis=0) / count
            square = square + (away * (path - mean)).sum(axis=0)
        score = float(returns.mean())
        found.append(
            LinearBehaviour(weights, mean.copy(), np.sqrt(np.maximum(square / count, 1e-8)), low, high, 0.0, score)
        )
    plant.close()
    return found


MIXTURE = ((0.0, 1.0, 0.2), (0.4, 0.3, 0.4), (1.0, 0.2, 0.4))
"""Random, poor and medium: share of the best score, deviation of the noise, and share of the transitions."""


def mixed_log(environment: str, budget: int, transitions: int, seed: int = 0, longest: int = LONGEST) -> GymLog:
    """A log with rewards and ends of behaviour that is in part random, in part poor and in part partly trained.

    The policies are those of `random_search`: the first one, the one whose score is nearest to 0.4 of the way from the
    first to the best, and the best one, each with Gaussian noise on its actions (`MIXTURE`).

    Args:
        environment: id in Gymnasium.
        budget: steps of the search.
        transitions: of the log.
        seed: of search and log.
        longest: steps after which an episode is cut.

    >>> log = mixed_log("Pendulum-v1", budget=3200, transitions=600, longest=100)
    >>> log.steps, sorted(log.paths[0])
    (600, ['actions', 'alive', 'observation', 'reward'])
    """
    found = random_search(environment, budget, seed)[1:]
    first, best = found[0].score, max(one.score for one in found)
    paths, log = [], None
    for number, (grade, noise, share) in enumerate(MIXTURE):
        chosen = min(found, key=lambda one, goal=first + grade * (best - first): abs(one.score - goal))
        behaviour = replace(chosen, noise=noise)
        count = max(2, round(share * transitions))
        log = record_gym_log(environment, count, 10 * seed + number, behaviour, longest, outcomes=True)
        paths += log.paths
    assert log is not None
    return replace(log, paths=tuple(paths))


def _episode(plant: Any, policy: LinearBehaviour, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """The observations (T, D) of an episode, and its return."""
    observation, _ = plant.reset(seed=int(generator.integers(2**31)))
    seen, total, over = [], 0.0, False
    while not over:
        seen.append(np.ravel(observation))
        action = policy(seen[-1], generator).reshape(plant.action_space.shape)
        observation, reward, ended, cut, _ = plant.step(action)
        total, over = total + float(reward), bool(ended or cut)
    return np.stack(seen), total
