"""Worlds that look things up in a scene."""

from __future__ import annotations

import pytest
import torch

from lowland.envs.two_rooms import random_rooms
from lowland.errors import ShapeError
from lowland.planning import energy
from lowland.planning.energy import PlanEnergy
from lowland.shaping.base import Batch
from lowland.worlds.forward import ForwardModel
from lowland.worlds.latent import LatentWorld, goal_cost
from lowland.worlds.latent_training import LatentTraining
from lowland.worlds.scene import Scene, SceneWorld


def test_what_is_read_is_the_mean_of_the_values_where_the_keys_answer() -> None:
    world, state = SceneWorld.reference_case()
    query = world.ask(state["observation"]).view(4, 4, 8)
    expected = []
    for n in range(4):
        for head in range(4):
            scores = state["keys"][n, head] @ query[n, head] / 8**0.5
            expected.append((scores.exp() / scores.exp().sum()) @ state["values"][n, head])
    torch.testing.assert_close(world.read(state), torch.stack(expected).view(4, 32))


def test_a_key_that_answers_loudest_is_read_alone() -> None:
    world, state = SceneWorld.reference_case()
    query = world.ask(state["observation"]).view(4, 4, 1, 8)
    state["keys"] = state["keys"].clone()
    state["keys"][:, :, 3] = 1e4 * query[:, :, 0]
    torch.testing.assert_close(world.read(state), state["values"][:, :, 3].flatten(1))


def test_a_scene_tells_where_things_are() -> None:
    """The same patch at two places has other keys, and what is around a place counts."""
    scene = Scene((1, 16, 16), 4)
    empty = scene(torch.zeros(1, 1, 16, 16))["keys"]
    assert not torch.allclose(empty[0, :, 0], empty[0, :, 5])
    beside = torch.zeros(1, 1, 16, 16)
    beside[..., 0:4, 4:8] = 1
    assert not torch.allclose(scene(beside)["keys"][0, :, 0], empty[0, :, 0])
    far = torch.zeros(1, 1, 16, 16)
    far[..., 12:, 12:] = 1
    torch.testing.assert_close(scene(far)["keys"][0, :, 0], empty[0, :, 0])


def test_the_scene_is_that_of_the_first_image_and_is_trained() -> None:
    world = LatentWorld((2, 16, 16), size=4, maps=(4, 4), hidden=8, scene=2)
    rooms = random_rooms(6)
    images = torch.stack([rooms.draw(rooms.free(torch.Generator().manual_seed(n)), 16) for n in range(4)], dim=1) / 255
    x = {"state": {"image": images[:, 0]}, "actions": torch.zeros(6, 3, 2)}
    model, shaping = ForwardModel(world, x["state"], horizon=3), LatentTraining(4, 2, hidden=8)
    loss = shaping(model, Batch({"image": images[:, 1:]}, x, torch.arange(6))).losses["energy"]
    loss.backward()
    assert world.scene is not None
    assert all(float(part.grad.abs().sum()) > 0 for part in world.scene.parameters() if part.grad is not None)
    start = world.encode(x["state"])
    one = world.step(start, x["actions"][:, 0])
    assert torch.equal(one["keys"], start["keys"])
    assert set(world.step(one, x["actions"][:, 0])) == {"code", "keys", "values"}


@pytest.mark.parametrize("each", [1, 2, 3, 6])
def test_a_fast_roll_out_reads_what_single_steps_read(each: int) -> None:
    """Rows of one scene are read together; scenes that only begin alike are not."""
    world, state = SceneWorld.reference_case()
    drawn = torch.Generator().manual_seed(each)
    scenes = {name: state[name][:3].repeat_interleave(each, dim=0)[:6].clone() for name in ("keys", "values")}
    if each == 6:
        scenes["values"][5] += 1.0
    start = {"observation": torch.randn(len(scenes["keys"]), 3, generator=drawn), **scenes}
    actions = torch.rand(len(scenes["keys"]), 4, 2, generator=drawn)
    with torch.no_grad():
        found = world.unroll(start, actions)
        assert found is not None
        for t in range(4):
            start = world.step(start, actions[:, t])
            torch.testing.assert_close(found["observation"][:, t], start["observation"], rtol=1e-5, atol=1e-5)
    assert world.unroll(start, actions) is None


def test_plans_in_a_scene_cost_the_same_in_one_block_and_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    world = LatentWorld((2, 16, 16), size=4, maps=(4, 4), hidden=8, dropout=0.2, scene=2)
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        state = world.encode({"image": torch.rand(3, 2, 16, 16, generator=drawn)}) | {"goal": torch.zeros(3, 4)}
        plan = PlanEnergy(world, goal_cost, 7, uncertainty=0.5, masks=3)
        plans = torch.rand(3, 7, 2, generator=drawn)
        whole = plan(x=plan.draw(state, drawn.manual_seed(1)), y=plans)
        monkeypatch.setattr(energy, "_ROWS", 18)
        cut = plan(x=plan.draw(state, drawn.manual_seed(1)), y=plans)
    with torch.enable_grad():
        slow = plan(x=plan.draw(state, drawn.manual_seed(1)), y=plans)
    torch.testing.assert_close(cut, whole)
    torch.testing.assert_close(slow, whole)


def test_the_uncertainty_of_a_plan_from_an_image_is_not_that_of_the_image_at_every_step() -> None:
    """The states of later steps have codes, and no image: it was read again for each of them."""
    world = LatentWorld((2, 16, 16), size=4, maps=(4, 4), hidden=8, dropout=0.2)
    plan = PlanEnergy(world, lambda state, action: state["code"].sum(dim=1), 4, uncertainty=1.0, masks=3)
    state = {"image": torch.rand(2, 2, 16, 16)}
    with pytest.raises(ShapeError, match=r"world\.encode"):
        plan(x=plan.draw(state), y=torch.zeros(2, 4, 2))
    assert plan(x=plan.draw(world.encode(state)), y=torch.zeros(2, 4, 2)).shape == (2,)
