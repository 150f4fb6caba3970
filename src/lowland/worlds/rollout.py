"""Roll-outs: a world model fed with its own predictions for several steps.

Shape letters: B samples, T steps, A size of an action, Z of a latent, M masked units. Batch and time are the first two
axes everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.tensors import tree_map
from lowland.worlds.base import State, World

Act: TypeAlias = Callable[[State, int], Tensor]
"""act(s[t], t) → a[t] (B, A): a policy, or a plan that is read out step by step."""


class Rollout(NamedTuple):
    """`states` s[1], …, s[T], each tensor (B, T, …), and `actions` a[0], …, a[T − 1], (B, T, A)."""

    states: State
    actions: Tensor


class Transition(NamedTuple):
    """s[t], a[t] and s[t+1] of one step, each tensor (B, …)."""

    state: State
    action: Tensor
    following: State


def transitions(
    world: World,
    state: State,
    act: Act | Tensor,
    z: Tensor | None,
    horizon: int,
    mask: Tensor | None = None,
    first: int = 0,
) -> Iterator[Transition]:
    """The steps of a `rollout`, with its arguments, one at a time: for states of which not all fit into memory."""
    _check(state, act, z, horizon, mask)
    for t in range(horizon):
        action = act[:, t] if isinstance(act, Tensor) else act(state, first + t)
        following = world.step(state, action, None if z is None else z[:, t], None if mask is None else mask[:, t])
        yield Transition(state, action, following)
        state = following


def rollout(
    world: World,
    state: State,
    act: Act | Tensor,
    z: Tensor | None,
    horizon: int,
    mask: Tensor | None = None,
    first: int = 0,
    fast: bool = False,
) -> Rollout:
    """s[t+1] = g(s[t], a[t], z[t]) for t = 0, …, T − 1; gradients flow through all steps where they are enabled.

    Source: Henaff, Canziani & LeCun 2019, section 3.1 (system W4: "sample z sequences, run the model").

    Args:
        world: the forward model g.
        state: s[0].
        act: the policy act(s[t], t) → a[t], or the actions themselves (B, T, A).
        z: the latents (B, T, Z); None for z = 0, the mean of the prior.
        horizon: T.
        mask: dropout masks (B, T, M); None for no dropout.
        first: number of the first step, from which the t of a policy counts.
        fast: use `World.unroll` where the world has it; its results differ from those of single steps by rounding.

    Raises:
        OptionError: for a horizon below 1.
        ShapeError: for actions, latents or masks whose first two axes are not the batch and the steps.

    >>> from lowland.worlds.vector import VectorWorld
    >>> world = VectorWorld(observations=3, actions=1)
    >>> imagined = rollout(world, {"observation": torch.zeros(2, 3)}, torch.ones(2, 5, 1), None, horizon=5)
    >>> imagined.states["observation"].shape, imagined.actions.shape
    (torch.Size([2, 5, 3]), torch.Size([2, 5, 1]))
    """
    if fast and isinstance(act, Tensor) and mask is None:
        _check(state, act, z, horizon, mask)
        if (states := world.unroll(state, act, z)) is not None:
            return Rollout(states, act)
    done = list(transitions(world, state, act, z, horizon, mask, first))
    actions = act if isinstance(act, Tensor) else torch.stack([step.action for step in done], dim=1)
    return Rollout(stack([step.following for step in done]), actions)


def stack(states: Sequence[State]) -> State:
    """States of successive steps as one: (B, …) each → (B, T, …)."""
    return {name: torch.stack([state[name] for state in states], dim=1) for name in states[0]}


def at(states: State, t: int) -> State:
    """Step t of stacked states: (B, T, …) → (B, …)."""
    return tree_map(lambda tensor: tensor[:, t], states)


def _check(state: State, act: Act | Tensor, z: Tensor | None, horizon: int, mask: Tensor | None) -> None:
    if horizon < 1:
        raise OptionError(f"The horizon must be at least 1 step, but it is {horizon}.")
    rows = next(iter(state.values())).shape[0]
    for name, value in (("actions", act), ("z", z), ("mask", mask)):
        if isinstance(value, Tensor) and (value.ndim < 3 or value.shape[0] != rows or value.shape[1] != horizon):
            raise ShapeError(f"{name} must have the shape ({rows}, {horizon}, …), but it is {tuple(value.shape)}.")
