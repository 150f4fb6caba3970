"""Policies: their bounds, imitation, and training through a frozen world that resumes bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lowland as ll
from lowland.domains import Box
from lowland.errors import DomainError, OptionError, UnsupportedError
from lowland.planning import BackpropThroughModel, Imitation, PlanEnergy, Policy
from lowland.planning.energy import square_cost
from lowland.shaping import Batch
from lowland.worlds.linear import LinearWorld
from lowland.worlds.vector import VectorWorld

BOX = Box(2, low=-1.0, high=1.0)


def policy_of(world: ll.worlds.World, gaussian: bool = False, seed: int = 0) -> Policy:
    generator = torch.Generator().manual_seed(seed)
    return Policy(world.features, 2, world.actions, hidden=(16,), gaussian=gaussian, generator=generator)


def linear(latents: bool = True) -> LinearWorld:
    return LinearWorld(
        [[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]], disturbance=[[0.0], [0.1]] if latents else None,
        actions=Box(1, low=-1.0, high=1.0),
    )  # fmt: skip


def states(count: int = 32, seed: int = 0) -> dict[str, torch.Tensor]:
    return {"state": torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))}


@pytest.mark.parametrize("bound", ["tanh", "clamp"])
@pytest.mark.parametrize("gaussian", [False, True])
def test_actions_stay_in_their_bounds(bound: str, gaussian: bool) -> None:
    policy = Policy(lambda state: 100 * state["state"], 2, BOX, hidden=(8,), gaussian=gaussian, bound=bound)
    action = policy(states(), 10 * torch.ones(32, 2))
    assert action.shape == (32, 2)
    assert bool(BOX.contains(action, 0.0).all())


def test_unknown_bound() -> None:
    with pytest.raises(OptionError, match="Did you mean 'tanh'"):
        Policy(lambda state: state["state"], 2, BOX, bound="tan")


def test_imitation_finds_the_policy_of_the_expert() -> None:
    """A linear expert inside the bounds is learned to less than a hundredth of its mean square."""
    policy = policy_of(linear())
    actions = 0.3 * torch.tanh(states(400)["state"] @ torch.tensor([[1.0], [-0.5]]))
    energy = Imitation(policy)
    ll.fit(energy, (states(400), actions), ll.shaping.MinimumEnergy(), max_steps=600, lr=1e-2, progress=False)
    error = (policy(states(400)) - actions).square().mean()
    assert float(error.detach()) < 0.01 * float(actions.square().mean())


def test_an_expert_outside_the_bounds_is_refused() -> None:
    with pytest.raises(DomainError, match="leaves its domain"):
        ll.fit(Imitation(policy_of(linear())), (states(), torch.full((32, 1), 3.0)), ll.shaping.MinimumEnergy())


@pytest.mark.parametrize("uncertainty", [0.0, 0.5])
def test_the_world_is_frozen_and_the_cost_falls(uncertainty: float) -> None:
    world = VectorWorld(2, 1, latents=2, hidden=16, dropout=0.2)
    plan = PlanEnergy(
        world, lambda state, action: state["observation"].square().sum(dim=1), 5, uncertainty, masks=4, futures=2
    )
    policy = policy_of(world, gaussian=True)
    before = {name: value.clone() for name, value in world.state_dict().items()}
    data = Batch(None, {"observation": states(64)["state"]})
    found = ll.fit(plan, data, BackpropThroughModel(policy), 40, 64, lr=1e-2, clip=50, validation=0.0, progress=False)
    assert all(torch.equal(before[name], value) for name, value in world.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in world.parameters())
    costs = found.history["loss/policy"].values
    assert sum(costs[-5:]) < sum(costs[:5])
    assert set(found.history) == {"loss/policy", "cost", "uncertainty"}
    assert (found.history["uncertainty"].values[-1] > 0) == (uncertainty > 0)


def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def train(steps: int, run: Path, resume: bool = False) -> Policy:
        policy = policy_of(linear(), gaussian=True)
        plan = PlanEnergy(linear(), square_cost, horizon=5, futures=2)
        shaping = BackpropThroughModel(
            policy, expert=0.1, disturb=lambda s, noise: {"state": s["state"] + noise.normal(2)}
        )
        data = (states(), torch.zeros(32, 5, 1))
        ll.fit(plan, data, shaping, steps, 8, run=run, resume=resume, checkpoint_every=5, validation=0, progress=False)
        return policy

    whole = train(20, tmp_path / "whole")
    train(10, tmp_path / "parts")
    parts = train(20, tmp_path / "parts", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_what_cannot_be_trained_through() -> None:
    policy = policy_of(linear())
    with pytest.raises(UnsupportedError, match="PlanEnergy"):
        BackpropThroughModel(policy)(Imitation(policy), Batch(None, states()))
    with pytest.raises(UnsupportedError, match="actions"):
        BackpropThroughModel(policy, expert=1.0)(PlanEnergy(linear(), square_cost, 5), Batch(None, states()))
    with pytest.raises(OptionError, match="at least 0"):
        BackpropThroughModel(policy, expert=-1.0)


def test_futures_that_come_with_the_data_are_the_ones_that_count() -> None:
    plan, policy, start = PlanEnergy(linear(), square_cost, horizon=3, futures=1), policy_of(linear()), states()
    z = 2 + torch.randn(32, 1, 3, 1, generator=torch.Generator().manual_seed(1))
    shaping = BackpropThroughModel(policy)
    with torch.no_grad():
        given = float(shaping(plan, Batch(None, {"state": start, "futures": z})).losses["policy"])
        expected = plan.total(plan.terms(start, lambda state, t: policy(state), z)).mean()
        drawn = float(shaping(plan, Batch(None, start)).losses["policy"])
    assert given == pytest.approx(float(expected), rel=1e-6)
    assert given != pytest.approx(drawn, rel=0.01)
