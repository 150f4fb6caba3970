"""What every registered world must do. None is named here: the registry is the list."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lowland.registry import registered
from lowland.tensors import PerSampleRNG, take, tree_leaves, tree_map
from lowland.worlds import Spread, State, World, rollout, usual_spread, variance

WORLDS = registered("world")
EVERY = pytest.mark.parametrize("name", WORLDS)
STEPS = 200


def masked() -> list[str]:
    return [name for name, cls in WORLDS.items() if cls.reference_case().world.masked]


def case_of(name: str) -> tuple[World, State, Tensor, Tensor | None, Tensor | None]:
    """A world of double precision, with a state, an action, a latent and a mask for each of its rows."""
    world, state = WORLDS[name].reference_case()
    state = tree_map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, state)
    rows = tree_leaves(state)[0].shape[0]
    noise = PerSampleRNG(3, torch.arange(rows), torch.float64)
    action = world.actions.project(0.5 * noise.normal(world.actions.size))
    z = world.prior(noise) if world.latents else None
    return copy.deepcopy(world).double(), state, action, z, world.draw_mask(noise) if world.masked else None


@EVERY
def test_names_shapes_and_types_are_kept(name: str) -> None:
    world, state, action, z, mask = case_of(name)
    after = world.step(state, action, z, mask)
    assert list(after) == list(state)
    for key in state:
        assert after[key].shape == state[key].shape, key
        assert bool(torch.isfinite(after[key]).all()), key
    features = world.features(after)
    assert features.ndim == 2
    assert len(features) == len(action)


@EVERY
def test_the_same_latents_and_masks_give_the_same_numbers(name: str) -> None:
    world, state, action, z, mask = case_of(name)
    random, before = torch.get_rng_state(), tree_map(torch.clone, state)
    world.train()
    first = world.step(state, action, z, mask)
    second = world.eval().step(state, action, z, mask)
    assert torch.equal(torch.get_rng_state(), random)
    for key in state:
        assert torch.equal(first[key], second[key])
        assert torch.equal(state[key], before[key])


@EVERY
def test_no_latent_is_the_mean_of_the_prior(name: str) -> None:
    world, state, action, z, _ = case_of(name)
    if z is None:
        return
    one, other = world.step(state, action), world.step(state, action, torch.zeros_like(z))
    for key in state:
        torch.testing.assert_close(one[key], other[key], msg=key)


@EVERY
def test_a_batch_is_its_rows(name: str) -> None:
    world, state, action, z, mask = case_of(name)
    together = world.features(world.step(state, action, z, mask))
    for row in range(len(action)):
        one = torch.tensor([row])
        alone = world.step(*(take(value, one) for value in (state, action, z, mask)))
        torch.testing.assert_close(world.features(alone)[0], together[row], rtol=1e-9, atol=1e-10)


@EVERY
def test_gradients_agree_with_finite_differences(name: str) -> None:
    """Central differences: their error is h² = 1e-12 times third derivatives, and rounding 1e-16 / h = 1e-10."""
    world, state, action, z, mask = case_of(name)
    # Inside the bounds, where actions are cut off.
    action = 0.9 * action

    def value(action: Tensor, z: Tensor | None, state: State) -> Tensor:
        return world.features(world.step(state, action, z, mask)).square().sum()

    generator = torch.Generator().manual_seed(1)

    def direction(point: Tensor) -> Tensor:
        return torch.randn(point.shape, generator=generator, dtype=point.dtype)

    to_action, to_z = direction(action), None if z is None else direction(z)
    to_state = {key: direction(tensor) for key, tensor in state.items() if tensor.is_floating_point()}
    ways = {
        "action": lambda length: value(action + length * to_action, z, state),
        "z": lambda length: value(action, None if z is None else z + length * to_z, state),
        "state": lambda length: value(action, z, {**state, **{k: state[k] + length * w for k, w in to_state.items()}}),
    }
    for variable, along in ways.items():
        length = torch.zeros((), dtype=torch.float64, requires_grad=True)
        found = along(length)
        slope = torch.zeros_like(found)
        if found.requires_grad:
            (part,) = torch.autograd.grad(found, length, allow_unused=True)
            slope = slope if part is None else part
        with torch.no_grad():
            quotient = (along(1e-6) - along(-1e-6)) / 2e-6
        torch.testing.assert_close(quotient, slope, rtol=1e-5, atol=1e-6, msg=variable)


@EVERY
@pytest.mark.parametrize("gradients", [False, True])
def test_steps_at_once_are_steps_one_after_the_other(name: str, gradients: bool) -> None:
    """In double precision and for four steps: rounding in another order changes the last digits only."""
    world, state, action, z, _ = case_of(name)
    actions = torch.stack([action, -action, 30 * action, action], dim=1)
    latents = None if z is None else torch.stack([z, 2 * z, -z, z], dim=1)
    given = tree_map(torch.clone, state), actions.clone()
    with torch.set_grad_enabled(gradients):
        for futures in (None, latents):
            found, now = rollout(world, state, actions, futures, 4, fast=True).states, state
            assert list(found) == list(state)
            for t in range(4):
                now = world.step(now, actions[:, t], None if futures is None else futures[:, t])
                for key, tensor in now.items():
                    torch.testing.assert_close(found[key][:, t], tensor, rtol=1e-9, atol=1e-9, msg=key)
    assert torch.equal(actions, given[1])
    for key, tensor in state.items():
        assert torch.equal(tensor, given[0][key])


@EVERY
def test_roll_outs_stay_finite(name: str) -> None:
    """From a state twenty times further out than those of the data, with random actions and latents."""
    world, state, _, _, _ = case_of(name)
    if name == "LinearWorld":
        return  # which grows as its matrix says
    rows = tree_leaves(state)[0].shape[0]
    noise = PerSampleRNG(5, torch.arange(rows), torch.float64)
    actions = world.actions.project(noise.normal(STEPS, world.actions.size).flatten(0, 1)).unflatten(0, (rows, STEPS))
    z = world.prior(noise, STEPS) if world.latents else None
    with torch.no_grad():
        found = rollout(world, state, actions, z, STEPS).states
    for key, tensor in found.items():
        assert bool(torch.isfinite(tensor).all()), key


@EVERY
def test_weights_survive_safetensors(name: str, tmp_path: Path) -> None:
    world, state, action, z, mask = case_of(name)
    before = world.features(world.step(state, action, z, mask))
    file = tmp_path / "world.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in world.state_dict().items()}, file)
    other = copy.deepcopy(world)
    with torch.no_grad():
        for tensor in other.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(1.0)
    other.load_state_dict(load_file(file))
    assert torch.equal(other.features(other.step(state, action, z, mask)), before)


@pytest.mark.parametrize("name", masked())
def test_branches_are_steps_under_each_mask(name: str) -> None:
    world, state, action, z, _ = case_of(name)
    masks = world.draw_mask(PerSampleRNG(8, torch.arange(len(action)), torch.float64), 3)
    assert masks.shape == (len(action), 3, world.masked)
    found = world.features(world.branches(state, action, z, masks)).unflatten(0, (-1, 3))
    for k in range(3):
        one = world.features(world.step(state, action, z, masks[:, k]))
        torch.testing.assert_close(found[:, k], one, rtol=1e-9, atol=1e-10)
    expected = found.var(dim=1).sum(dim=1)
    torch.testing.assert_close(variance(world, state, action, z, masks), expected)
    shared = variance(world, state, action, z, masks[:1])
    each = variance(world, state, action, z, masks[:1].expand(len(action), -1, -1))
    torch.testing.assert_close(shared, each, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", masked())
def test_masks_have_the_mean_and_share_that_they_should(name: str) -> None:
    """20,000 Bernoulli draws or more: five standard deviations of their mean."""
    world, _, _, _, _ = case_of(name)
    count = -(-20_000 // world.masked)
    mask = world.draw_mask(PerSampleRNG(1, torch.arange(count), torch.float64))
    p = world.dropout
    assert abs(float((mask == 0).double().mean()) - p) < 5 * (p * (1 - p) / mask.numel()) ** 0.5
    torch.testing.assert_close(mask.unique(), torch.tensor([0, 1 / (1 - p)], dtype=torch.float64))


@pytest.mark.parametrize("name", masked())
def test_the_usual_spread_z_scores_the_variance(name: str) -> None:
    world, state, action, _, _ = case_of(name)
    actions = action[:, None].expand(-1, 4, -1)
    spread = usual_spread(world, state, actions, masks=5)
    assert isinstance(spread, Spread)
    masks = world.draw_mask(PerSampleRNG(0, torch.arange(len(action)), torch.float64), 5)
    raw = variance(world, state, action, None, masks)
    torch.testing.assert_close(raw.mean(), spread.mean[0])
    scaled = spread.score(raw[None])[0]
    torch.testing.assert_close(scaled.mean(), torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(scaled.std(), torch.ones((), dtype=torch.float64))
