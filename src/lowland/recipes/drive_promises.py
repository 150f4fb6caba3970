"""What a model promises a policy and what the policy then gets: cost and uncertainty, imagined and true.

Shape letters: B episodes, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lowland.planning.policies import Policy
from lowland.recipes.drive_logs import Course
from lowland.tensors import PerSampleRNG, take
from lowland.worlds.base import State, World
from lowland.worlds.driving_costs import DrivingCost
from lowland.worlds.rollout import at, rollout
from lowland.worlds.uncertainty import Spread, usual_spread, variance

STRETCHES = 4
"""Times that a policy is rolled out in its model along each episode, one after the other."""
_USUAL = 500
_COST = DrivingCost()


@torch.no_grad()
def promises(
    policy: Policy,
    world: World,
    courses: Sequence[Course],
    logged: Mapping[str, Any],
    horizon: int,
    masks: int,
    cost: Callable[[State], Tensor] = _COST,
) -> dict[str, float]:
    """`told` and `true` cost of a step, and its uncertainty, `unsure` and `unsure_true`: means over steps of episodes.

    A policy drives, and at each T-th step it is also rolled out in the model from where it is, for T steps, with z from
    the prior. All four are means over the same steps: those up to the true end of an episode, however the roll-out goes
    on. A last step that ends in a collision or off the road costs 1. The uncertainty is that along the imagined and
    along the true states, in deviations from what is usual in the log, by `worlds.uncertainty.usual_spread`.

    Args:
        policy: that drives.
        world: that it was trained in.
        courses: the episodes.
        logged: `states` and `actions` (B, T, 2) of which the usual uncertainty is taken.
        horizon: T.
        masks: K.
        cost: C.
    """
    actions = logged["actions"][:_USUAL, :horizon]
    start = take(at(logged["states"], 0), torch.arange(len(actions), device=actions.device))
    usual = usual_spread(world, start, actions, _futures(world, len(actions), actions.shape[1], actions.device), masks)
    found: dict[str, list[Tensor]] = {"told": [], "true": [], "unsure": [], "unsure_true": []}
    for replay, episodes in courses:
        state = replay.reset(episodes)
        for _ in range(STRETCHES):
            going = (replay.reason == 0).nonzero()[:, 0]
            replay.select(going)
            if not len(going):
                break
            state = take(state, going)
            z = _futures(world, len(going), horizon, going.device)
            imagined = rollout(world, state, lambda state, t: policy(state), z, horizon)
            told = [at(imagined.states, t) for t in range(horizon)]
            true, costs, driven = [state], [], []
            for _ in range(horizon):
                driven.append(replay.reason == 0)
                state, info = replay.step(policy(state))
                costs.append(torch.where(info["crashed"] | info["off_road"], 1.0, cost(state)))
                true.append(state)
            done = [policy(one) for one in true[:-1]]
            values = {
                "told": torch.stack([cost(one) for one in told]),
                "true": torch.stack(costs),
                "unsure": _unsure(world, [true[0], *told[:-1]], imagined.actions.unbind(1), z, usual, masks),
                "unsure_true": _unsure(world, true[:-1], done, z, usual, masks),
            }
            for name, value in values.items():
                found[name].append(value[torch.stack(driven)])
    return {name: float(torch.cat(parts).mean()) for name, parts in found.items()}


def _futures(world: World, rows: int, steps: int, device: torch.device) -> Tensor | None:
    """Latents (B, T, Z) from the prior; None for a model without any."""
    return world.prior(PerSampleRNG(0, torch.arange(rows, device=device)), steps) if world.latents else None


def _unsure(
    world: World, states: Sequence[State], actions: Sequence[Tensor], z: Tensor | None, usual: Spread, masks: int
) -> Tensor:
    """U of each step in usual deviations, (T, B)."""
    noise = PerSampleRNG(1, torch.arange(len(actions[0]), device=actions[0].device))
    values = [
        variance(world, state, action, None if z is None else z[:, t], world.draw_mask(noise, masks))
        for t, (state, action) in enumerate(zip(states, actions, strict=True))
    ]
    return usual.score(torch.stack(values))
