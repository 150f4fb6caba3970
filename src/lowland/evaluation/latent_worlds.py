"""Diagnosis of a latent world: whether its codes follow the episode, how far ahead it sees, and a plan to an image.

Shape letters: B samples, T steps, D size of a code, A of an action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lowland.envs.two_rooms import Rooms
from lowland.evaluation.collapse import rankme
from lowland.inference import infer
from lowland.planning.energy import PlanEnergy
from lowland.solvers.mppi import MPPI
from lowland.training.samples import Lazy
from lowland.worlds.latent import LatentWorld, goal_cost
from lowland.worlds.rollout import rollout

_MOST = 400


@torch.no_grad()
def latent_diagnosis(world: LatentWorld, data: Lazy, seed: int = 0) -> dict[str, Any]:
    """What the codes of held-out clips do, and how well they are predicted.

    Args:
        world: trained.
        data: clips, see `lowland.training.clips`.
        seed: of the clips that are drawn, at most 400.

    Returns:
        `within`: share of the variance of the codes that lies within clips, in percent; near 0 the codes show only what
        never changes in an episode, such as its walls. `rank`: effective rank of the codes less the mean of their clip
        (RankMe). `swapped`: error of the last prediction with another clip's actions, as a multiple of that with its
        own; 1 means that the model is blind to actions. `model` and `copy`: error at each step of the prediction and of
        a copy of the first code, as a share of the variance of codes, T numbers each.
    """
    drawn = torch.randperm(data.count, generator=torch.Generator().manual_seed(seed))[:_MOST]
    batch = data.draw(drawn)
    actions, later = batch.x["actions"], batch.y["image"]
    steps = actions.shape[1]
    start = world.encode(batch.x["state"])
    first = start["code"]
    codes = torch.cat([first[:, None], world.encoder(later.flatten(0, 1)).unflatten(0, (-1, steps))], dim=1)
    moved = codes - codes.mean(dim=1, keepdim=True)
    size = (codes - codes.mean(dim=(0, 1))).square().sum(dim=2).mean().clamp_min(1e-12)

    def errors(predicted: Tensor) -> Tensor:
        return (predicted - codes[:, 1:]).square().sum(dim=2).mean(dim=0) / size

    def imagined(actions: Tensor) -> Tensor:
        return rollout(world, start, actions, None, steps).states["code"]

    own, other = errors(imagined(actions)), errors(imagined(actions.roll(1, dims=0)))
    return {
        "within": float(100 * moved.square().sum(dim=2).mean() / size), "rank": rankme(moved.flatten(0, 1)),
        "swapped": float(other[-1] / own[-1].clamp_min(1e-12)), "model": own.tolist(),
        "copy": errors(first[:, None].expand(-1, steps, -1)).tolist(),
    }  # fmt: skip


@torch.no_grad()
def place_probe(world: LatentWorld, layout: Callable[..., Rooms], size: int, seed: int = 0, count: int = 2000) -> float:
    """R² of the place of a dot as a linear function of its code, in percent, on places that the fit has not seen.

    R² = 1 − Σ ‖p − p̂‖² / Σ ‖p − p̄‖², with p̂ fitted by least squares to half of the places.

    Args:
        world: whose encoder sees images of rooms.
        layout: (count, generator) → rooms.
        size: S, pixels of a side.
        seed: of rooms and places.
        count: places.

    >>> from lowland.envs.two_rooms import fixed_rooms
    >>> place_probe(LatentWorld((2, 16, 16), size=8), fixed_rooms, size=16, count=200) <= 100
    True
    """
    generator = torch.Generator().manual_seed(seed)
    rooms = layout(count, generator)
    place = rooms.free(generator).double()
    codes = torch.cat([world.encoder(part) for part in rooms.draw(place.float(), size).split(500)]).double()
    inputs = torch.cat([codes, torch.ones_like(codes[:, :1])], dim=1)
    half = count // 2
    weights = torch.linalg.lstsq(inputs[:half], place[:half], driver="gelsd").solution
    found, true = inputs[half:] @ weights, place[half:]
    return float(100 * (1 - (true - found).square().sum() / (true - true.mean(dim=0)).square().sum()))


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
    seen, end = world.encode({"image": start[None]}), world.encoder(goal[None])
    plan = PlanEnergy(world, goal_cost, horizon, futures=0)
    state = {**seen, "goal": end}
    solver = MPPI(samples, deviation=0.7, max_steps=20, tol=None)
    found = infer(plan, x=state, over="y", solver=solver, generator=torch.Generator().manual_seed(seed))
    path = rollout(world, state, found.value, None, horizon).states["code"]
    far = torch.cat([seen["code"][:, None], path], dim=1)[0] - end
    distance = far.norm(dim=1)
    return {"actions": found.value[0], "distance": distance / distance[0].clamp_min(1e-12)}
