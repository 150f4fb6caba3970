"""Behaviour by random search gets better, and the log that is made of it is a mixture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.envs.behaviour import LinearBehaviour, mixed_log, random_search
from lowland.errors import OptionError


def test_an_action_is_linear_in_the_z_scored_observation_and_within_its_bounds() -> None:
    behaviour = LinearBehaviour(
        np.array([[0.5, 0.0]]), np.array([1.0, 0.0]), np.array([2.0, 1.0]), np.array([-2.0]), np.array([4.0])
    )
    noise = np.random.default_rng(0)
    assert behaviour(np.array([3.0, 9.0]), noise) == pytest.approx(1 + 3 * 0.5)
    assert behaviour(np.array([99.0, 9.0]), noise) == pytest.approx(4.0)


def test_the_search_finds_better_policies_than_the_first() -> None:
    found = random_search("Pendulum-v1", budget=40_000, seed=0)
    assert max(one.score for one in found[2:]) > found[1].score


def test_a_mixed_log_is_the_same_again_and_of_three_grades() -> None:
    one, other = (mixed_log("Pendulum-v1", 3200, 500, seed=1, longest=50) for _ in range(2))
    assert all(torch.equal(a["observation"], b["observation"]) for a, b in zip(one.paths, other.paths, strict=True))
    assert one.steps == 500
    assert len(one.paths) == 10
    assert {"reward", "alive"} <= set(one.paths[0])


def test_a_search_without_budget_is_refused() -> None:
    with pytest.raises(OptionError, match="budget must be positive"):
        random_search("Pendulum-v1", 0)


def test_plants_that_cannot_be_searched() -> None:
    for name, words in {
        "Nope-v9": "cannot make the environment 'Nope-v9'",
        "CartPole-v1": "has discrete actions",
    }.items():
        with pytest.raises(OptionError, match=words):
            random_search(name, budget=10)
