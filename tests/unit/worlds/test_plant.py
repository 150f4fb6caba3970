"""The world of a plant learns rewards and ends."""

from __future__ import annotations

import torch

from lowland.training.ensembles import fit_ensemble
from lowland.worlds.plant import PlantWorld
from lowland.worlds.rollout import rollout
from lowland.worlds.uncertainty import Ensemble


def falling(count: int) -> list[dict[str, torch.Tensor]]:
    """A number that an action moves; the reward is the number, and the plant ends above 1."""
    draw, paths = torch.Generator().manual_seed(0), []
    for _ in range(count):
        seen, taken, alive = [torch.rand(1, generator=draw) - 0.5], [], [1.0]
        while alive[-1] and len(taken) < 20:
            taken.append(2 * torch.rand(1, generator=draw) - 1)
            seen.append(seen[-1] + 0.3 * taken[-1])
            alive.append(float(seen[-1] <= 1))
        observation = torch.stack(seen)
        paths.append(
            {
                "observation": observation,
                "actions": torch.stack(taken),
                "reward": observation[:, 0] * torch.tensor([0.0, *alive[:-1]]),
                "alive": torch.tensor(alive),
            }
        )
    return paths


def test_rewards_and_ends_are_learned() -> None:
    paths = falling(200)
    worlds = [PlantWorld(1, 1, hidden=32, generator=torch.Generator().manual_seed(n)) for n in range(2)]
    fit_ensemble(Ensemble(worlds), paths, 2, 400)
    state = {"observation": torch.tensor([[0.0], [0.9]]), "reward": torch.zeros(2), "alive": torch.ones(2)}
    with torch.no_grad():
        after = worlds[0].step(state, torch.tensor([[0.5], [1.0]]))
    assert abs(float(after["reward"][0]) - 0.15) < 0.1
    assert float(after["alive"][0]) > 0.95
    assert float(after["alive"][1]) < 0.5


def test_nothing_is_paid_after_the_end() -> None:
    world, state = PlantWorld.reference_case()
    over = {**state, "alive": torch.zeros(4)}
    with torch.no_grad():
        states = rollout(world, over, torch.zeros(4, 3, 2), None, 3).states
    assert not states["reward"].any()
    assert not states["alive"].any()


def test_a_plant_that_never_ends_in_the_log_never_ends() -> None:
    paths = [{**one, "alive": torch.ones(len(one["reward"]))} for one in falling(20)]
    world = PlantWorld(1, 1, hidden=8)
    fit_ensemble(Ensemble([world, PlantWorld(1, 1, hidden=8)]), paths, 1, 2)
    state = {"observation": torch.zeros(1, 1), "reward": torch.zeros(1), "alive": torch.ones(1)}
    assert float(world.step(state, torch.ones(1, 1))["alive"]) == 1
    assert world.features(state).shape == (1, 2)


def test_the_truth_has_no_misfit() -> None:
    world, state = PlantWorld.reference_case()
    assert torch.allclose(world.misfit(state, state), torch.zeros(4), atol=1e-5)
