"""Uncertainty of a world model: the variance of its predictions over dropout masks, or over an ensemble.

Shape letters: B samples, T steps, A size of an action, Z of a latent, K dropout masks, M masked units, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG, batch_size
from lowland.worlds.base import State, World, each_row
from lowland.worlds.rollout import transitions


class Spread(NamedTuple):
    """Mean and standard deviation of `variance` on training data at each step of a roll-out, (T,) each."""

    mean: Tensor
    std: Tensor

    def score(self, values: Tensor, first: int = 0) -> Tensor:
        """(U[t] − mean[t]) / std[t] of values (T′, …) from step `first` on; later steps use the last entry.

        >>> Spread(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 1.0])).score(torch.tensor([[2.0], [4.0], [5.0]]))
        tensor([[2.],
                [2.],
                [3.]])
        """
        place = torch.arange(first, first + len(values), device=values.device).clamp_max(len(self.mean) - 1)
        mean, std = (part[place].to(values).reshape(-1, *[1] * (values.ndim - 1)) for part in self)
        return (values - mean) / std


def variance(
    world: World,
    state: State,
    action: Tensor,
    z: Tensor | None,
    masks: Tensor,
) -> Tensor:
    """U = tr Cov over k of φ(g(s, a, z, mask_k)), (B,), φ being the z-scored features of the world.

    It is differentiable in state and action: an agent that minimises it stays where the model is certain. Source:
    Henaff, Canziani & LeCun 2019, equation 5 (system W7). There the cost is the trace, with weight 0.5; the released
    code z-scores each step of the roll-out with statistics of training data (`Spread.score`) and only counts values
    above a hinge (`lowland.planning.PlanEnergy`).

    Args:
        world: with dropout, or an `Ensemble`.
        state: s[t].
        action: a[t], (B, A).
        z: z[t], (B, Z), or None.
        masks: (B, K, M) from `world.draw_mask(noise, K)`, K ≥ 2; or (G, K, M), one set for each B / G successive
            rows.

    Raises:
        OptionError: for a world without dropout, or fewer than two masks.

    >>> from lowland.worlds.vector import VectorWorld
    >>> world = VectorWorld(observations=3, actions=1, dropout=0.1)
    >>> masks = world.draw_mask(PerSampleRNG(0, torch.arange(2)), 10)
    >>> variance(world, {"observation": torch.zeros(2, 3)}, torch.zeros(2, 1), None, masks).shape
    torch.Size([2])
    """
    if world.masked == 0:
        raise OptionError(
            f"{type(world).__name__} has no dropout, so that its uncertainty cannot be measured: make it with "
            "dropout=0.1, put several worlds into an Ensemble, or set the weight of the uncertainty to 0."
        )
    count = masks.shape[1]
    if count < 2:
        raise OptionError(f"A variance needs at least two masks, but there is {count}.")
    features = world.features(world.branches(state, action, z, masks))
    return features.unflatten(0, (-1, count)).var(dim=1).sum(dim=-1)


@torch.no_grad()
def usual_spread(
    world: World, state: State, actions: Tensor, z: Tensor | None = None, masks: int = 10, seed: int = 0
) -> Spread:
    """Mean and deviation of `variance` on training data, at each step of a roll-out under the logged actions.

    Args:
        world: with dropout, or an `Ensemble`.
        state: s[0] of B roll-outs, at least 2.
        actions: (B, T, A), the logged actions.
        z: (B, T, Z), or None for z = 0.
        masks: K at each step.
        seed: of the masks.

    Raises:
        OptionError: for fewer than two roll-outs.
    """
    rows = batch_size(state=state)
    if rows < 2:
        raise OptionError(f"The usual spread needs at least two roll-outs, but there is {rows}.")
    noise = PerSampleRNG(seed, torch.arange(rows, device=actions.device), actions.dtype)
    found = []
    for t, now in enumerate(transitions(world, state, actions, z, actions.shape[1])):
        latent = None if z is None else z[:, t]
        found.append(variance(world, now.state, now.action, latent, world.draw_mask(noise, masks)))
    values = torch.stack(found, dim=1)
    return Spread(values.mean(dim=0), values.std(dim=0).clamp_min(torch.finfo(values.dtype).tiny))


def prior_futures(
    world: World, rows: int, steps: int, device: torch.device | str = "cpu", seed: int = 0
) -> Tensor | None:
    """Latents (B, T, Z) from the prior, one future for each of B roll-outs of T steps; None for a world without any.

    >>> from lowland.worlds.vector import VectorWorld
    >>> prior_futures(VectorWorld(3, 1, latents=2), rows=4, steps=5).shape, prior_futures(VectorWorld(3, 1), 4, 5)
    (torch.Size([4, 5, 2]), None)
    """
    noise = PerSampleRNG(seed, torch.arange(rows, device=device))
    return world.prior(noise, steps) if world.latents else None


class Ensemble(World):
    """g = Σ_n w_n g_n, several worlds trained in the same way from different initial weights.

    Masks select members: mask k picks member k mod N; without a mask, the prediction is the mean of all members.
    `variance` is then over the members (Chua et al. 2018, "Deep reinforcement learning in a handful of trials").

    The latent z means something else to each member. An ensemble with latents therefore rolls out its first member only
    when there is no mask, and `branches` compares the members at z = 0, the mean of the prior.

    Args:
        worlds: the N ≥ 2 members, with the same states, actions and latents.

    Raises:
        OptionError: for fewer than two worlds, or worlds with other actions or latents.

    >>> from lowland.worlds.vector import VectorWorld
    >>> members = [VectorWorld(3, 1, generator=torch.Generator().manual_seed(n)) for n in range(5)]
    >>> Ensemble(members).draw_mask(PerSampleRNG(0, torch.arange(2)), 10).shape
    torch.Size([2, 10, 5])
    """

    def __init__(self, worlds: Sequence[World]) -> None:
        if len(worlds) < 2:
            raise OptionError(f"An ensemble needs at least two worlds, but it got {len(worlds)}.")
        first = worlds[0]
        for world in worlds:
            if (world.actions.size, world.latents) != (first.actions.size, first.latents):
                raise OptionError(
                    f"The worlds of an ensemble must take the same actions and latents, but there are {first.actions!r}"
                    f" with {first.latents} latents and {world.actions!r} with {world.latents}."
                )
        super().__init__(first.actions, first.latents, masked=len(worlds))
        self.worlds = nn.ModuleList(worlds)

    @property
    def members(self) -> list[World]:
        """The worlds, in their order."""
        return [self._member(n) for n in range(self.masked)]

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        if mask is None and self.latents:
            return self._member(0).step(state, action, z)
        weights = action.new_full((len(action), 1, self.masked), 1 / self.masked) if mask is None else mask[:, None]
        return self._mix(state, action, z, weights)

    def branches(self, state: State, action: Tensor, z: Tensor | None, masks: Tensor) -> State:
        return self._mix(state, action, None, each_row(masks, len(action)))

    def _mix(self, state: State, action: Tensor, z: Tensor | None, weights: Tensor) -> State:
        """Each member predicts once; weights (B, K, N) → B · K rows."""
        found = [member.step(state, action, z) for member in self.members]
        return {
            name: torch.einsum("bkn,nb...->bk...", weights, torch.stack([one[name] for one in found])).flatten(0, 1)
            for name in found[0]
        }

    def features(self, state: State) -> Tensor:
        return self._member(0).features(state)

    def prior(self, noise: PerSampleRNG, *shape: int) -> Tensor:
        return self._member(0).prior(noise, *shape)

    def draw_mask(self, noise: PerSampleRNG, *shape: int) -> Tensor:
        """(B, *shape, N), one-hot: the last axis of `shape` cycles through the members."""
        count = shape[-1] if shape else 1
        like = noise.sample_ids
        index = torch.arange(count, device=like.device) % self.masked
        picks = nn.functional.one_hot(index, self.masked).to(noise.dtype)
        return picks.expand(len(like), *shape, self.masked) if shape else picks.expand(len(like), self.masked)

    def _member(self, number: int) -> World:
        world = self.worlds[number]
        assert isinstance(world, World)
        return world
