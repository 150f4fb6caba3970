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
    assert [tuple(part.shape) for part in first] == [(3, 6, 3), (3, 5, 1), (3, 5), (3, 6)]
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
    with pytest.raises(OptionError, match="has discrete actions"):
        run_plant("CartPole-v1", still, 3, 5)


def test_what_has_ended_stays_and_is_paid_nothing_while_others_go_on() -> None:
    """A pendulum on a cart that is pushed hard falls within a few steps, one that is not stands longer."""
    pytest.importorskip("mujoco")
    push = torch.tensor([[1.0], [0.0]])
    runs = run_plant("InvertedPendulum-v5", lambda state: push, 2, 60)
    lengths = runs.alive.sum(dim=1)
    assert lengths[0] < lengths[1]
    last = int(lengths[0])
    assert not runs.rewards[0, last:].any()
    assert bool((runs.observations[0, last:] == runs.observations[0, last]).all())
    assert runs.rewards.shape[1] == int(lengths.max())
