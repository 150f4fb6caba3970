"""A plant driven by a policy: what comes back, which starts count, and what is refused."""

from __future__ import annotations

import pytest
import torch

from lowland.envs.plant import run_plant
from lowland.errors import DomainError, OptionError

PENDULUM = "Pendulum-v1"


def still(state: object) -> torch.Tensor:
    return torch.zeros(3, 1)


def test_it_records_what_happened_and_repeats() -> None:
    first, second = (run_plant(PENDULUM, still, 3, 5, seed=4) for _ in range(2))
    assert [tuple(part.shape) for part in first] == [(3, 6, 3), (3, 5, 1), (3, 5)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first.observations, run_plant(PENDULUM, still, 3, 5, seed=5).observations)


def test_starts_are_drawn_until_they_are_accepted() -> None:
    runs = run_plant(PENDULUM, still, 3, 1, accept=lambda observation: bool(observation[0] < -0.8))
    assert bool((runs.observations[:, 0, 0] < -0.8).all())
    with pytest.raises(OptionError, match="accepted"):
        run_plant(PENDULUM, still, 3, 1, accept=lambda observation: False)


@pytest.mark.parametrize("action", [3.0, float("nan")])
def test_an_action_outside_its_bounds(action: float) -> None:
    with pytest.raises(DomainError, match="outside"):
        run_plant(PENDULUM, lambda state: torch.full((3, 1), action), 3, 5)


def test_an_environment_without_a_box_of_actions() -> None:
    with pytest.raises(OptionError, match="box of actions"):
        run_plant("CartPole-v1", still, 3, 5)
