"""Diagnosis of a latent world: whether its codes follow the episode, how far ahead it sees, and a plan to an image.

Shape letters: B samples, T steps, D size of a code, A of an action.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.evaluation.collapse import rankme
from lowland.inference import infer
from lowland.planning.energy import PlanEnergy
from lowland.solvers.mppi import MPPI
from lowland.tensors import tree_map
from lowland.training.samples import Lazy
from lowland.worlds.latent import LatentWorld, goal_cost
from lowland.worlds.rollout import rollout

_MOST = 400


def _drawn(world: LatentWorld, data: Lazy, seed: int) -> tuple[Tensor, Tensor]:
    """Codes (B, T + 1, D) and actions (B, T, A) of some clips."""
    generator = torch.Generator().manual_seed(seed)
    batch = data.draw(torch.randperm(data.count, generator=generator)[:_MOST])
    later = tree_map(lambda tensor: tensor.flatten(0, 1), batch.y)
    first = world.encoder(batch.x["state"]["image"])
    actions = batch.x["actions"]
    return torch.cat([first[:, None], world.encoder(later["image"]).unflatten(0, actions.shape[:2])], dim=1), actions


@torch.no_grad()
def codes_report(world: LatentWorld, data: Lazy, seed: int = 0) -> dict[str, float]:
    """What the codes of held-out clips do.

    Args:
        world: trained.
        data: clips, see `lowland.training.clips`.
        seed: of the clips that are drawn, at most 400.

    Returns:
        `within`: share of the variance of the codes that lies within clips, in percent; near 0 the codes show only what
        never changes in an episode, such as its walls. `rank`: effective rank of the codes less the mean of their clip
        (RankMe). `swapped`: error of the last prediction with another clip's actions, as a multiple of that with its
        own; 1 means that the model is blind to actions.
    """
    codes, actions = _drawn(world, data, seed)
    moved = codes - codes.mean(dim=1, keepdim=True)
    within = moved.square().sum() / (codes - codes.mean(dim=(0, 1))).square().sum().clamp_min(1e-12)
    steps = actions.shape[1]

    def error(actions: Tensor) -> Tensor:
        found = rollout(world, {"code": codes[:, 0]}, actions, None, steps).states["code"]
        return (found[:, -1] - codes[:, -1]).square().sum(dim=1).mean()

    swapped = error(actions.roll(1, dims=0)) / error(actions).clamp_min(1e-12)
    return {"within": float(100 * within), "rank": rankme(moved.flatten(0, 1)), "swapped": float(swapped)}


@torch.no_grad()
def errors_ahead(world: LatentWorld, data: Lazy, seed: int = 0) -> dict[str, list[float]]:
    """Error of the predicted code at each step, as a share of the variance of codes, for the model and for a copy.

    Args:
        world, data, seed: as of `codes_report`.
    """
    codes, actions = _drawn(world, data, seed)
    found = rollout(world, {"code": codes[:, 0]}, actions, None, actions.shape[1]).states["code"]
    size = (codes - codes.mean(dim=(0, 1))).square().sum(dim=2).mean().clamp_min(1e-12)
    predicted = {"model": found, "copy": codes[:, :1].expand_as(found)}
    return {
        name: ((codes[:, 1:] - one).square().sum(dim=2).mean(dim=0) / size).tolist() for name, one in predicted.items()
    }


@torch.no_grad()
def goal_plan(
    world: LatentWorld, start: Tensor, goal: Tensor, horizon: int, samples: int = 256, seed: int = 0
) -> dict[str, Any]:
    """Plan from one image to another.

    Args:
        world: trained.
        start, goal: images (C, H, W).
        horizon: T.
        samples, seed: of MPPI.

    Returns:
        `actions` (T, A), and `distance` (T + 1,): how far the predicted code is from that of the goal at each step, as
        a share of the distance at the start.
    """
    code, end = world.encoder(start[None]), world.encoder(goal[None])
    plan = PlanEnergy(world, goal_cost, horizon, futures=0)
    state = {"code": code, "goal": end}
    solver = MPPI(samples, deviation=0.7, max_steps=20, tol=None)
    found = infer(plan, x=state, over="y", solver=solver, generator=torch.Generator().manual_seed(seed))
    path = rollout(world, state, found.value, None, horizon).states["code"]
    far = torch.cat([code[:, None], path], dim=1)[0] - end
    distance = far.norm(dim=1)
    return {"actions": found.value[0], "distance": distance / distance[0].clamp_min(1e-12)}
