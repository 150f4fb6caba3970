"""The contract of a world model: one step s[t+1] = g(s[t], a[t], z[t]), with all noise as an explicit input.

Shape letters: B samples, T steps, A size of an action, Z of a latent, M units that a dropout mask acts on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from lowland.domains import Domain
from lowland.tensors import PerSampleRNG, repeat_rows

State: TypeAlias = Mapping[str, Tensor]
"""A state of a world: named tensors, each with the batch as first axis."""

Cost: TypeAlias = Callable[[State, Tensor], Tensor]
"""C(s[t+1], a[t]), for a state and an action (B, A): (B,). A user's cost is one function."""


@runtime_checkable
class StatefulCost(Protocol):
    """A cost that refers to something that stays fixed along a plan, such as the pace at its start."""

    def held(self, state: State) -> State:
        """What a plan that begins at `state` adds to it, and carries along unchanged."""
        ...


class World(nn.Module, PyTorchModelHubMixin):
    """s[t+1] = g(s[t], a[t], z[t]), a forward model (LeCun 2019, system W1; Henaff et al. 2019, section 3.1).

    A subclass defines `step` and `features`, and `initialise` if it z-scores its inputs and outputs. It is
    deterministic: the latent z and the dropout mask are inputs, so that they can be held fixed while a planner searches
    for actions. Bounded actions are in shares of their bounds, from −1 to 1.

    Args:
        actions: domain of one action, `Box(A, low=-1, high=1)` or `Reals(A)`.
        latents: Z; 0 for a deterministic model.
        masked: M, number of hidden units under dropout; 0 for a model without dropout.
        dropout: probability that such a unit is dropped.
    """

    def __init__(self, actions: Domain, latents: int = 0, masked: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.actions, self.latents, self.masked, self.dropout = actions, latents, masked, dropout

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        """The next state, with the names and shapes of `state`.

        Args:
            state: s[t].
            action: a[t], (B, A).
            z: z[t], (B, Z), or None for the mean of the prior, z = 0.
            mask: (B, M), 0 where a unit is dropped and 1 / (1 − dropout) elsewhere; None for no dropout.
        """
        raise NotImplementedError

    def unroll(self, state: State, actions: Tensor, z: Tensor | None = None) -> State | None:
        """s[1], …, s[T], each tensor (B, T, …), where a world has a faster way than T single steps; None: it has none.

        Roll-outs ask for it with `fast=True`; see `lowland.worlds.rollout`. What does not change may be left out.

        Args:
            state: s[0].
            actions: a[0], …, a[T − 1], (B, T, A).
            z: (B, T, Z), or None.
        """
        return None

    def branches(self, state: State, action: Tensor, z: Tensor | None, masks: Tensor) -> State:
        """The next states under K masks: B · K rows, with the K states of a sample next to each other.

        Masks are (G, K, M), one set for each group of B / G successive rows; usually G = B. A subclass may compute once
        what does not depend on the masks, such as its encoder.
        """
        count = masks.shape[1]
        rows, again = repeat_rows(state, count), repeat_rows(z, count)
        return self.step(rows, repeat_rows(action, count), again, each_row(masks, len(action)).flatten(0, 1))

    def features(self, state: State) -> Tensor:
        """(B, D), the predicted part of a state, z-scored with statistics of the training data."""
        raise NotImplementedError

    def misfit(self, predicted: State, actual: State) -> Tensor:
        """‖φ(ŝ) − φ(s)‖², (B,), with φ = `features`. A world whose states have gaps leaves out unknown entries."""
        return (self.features(predicted) - self.features(actual)).square().sum(dim=1)

    def initialise(self, state: State, actions: Tensor, states: State) -> None:
        """Set the scales of inputs and predictions from logged trajectories, in place and under no_grad.

        Does nothing by default. `ForwardModel` calls it before the first step of training.

        Args:
            state: s[0].
            actions: a[0], …, a[T − 1], (B, T, A).
            states: s[1], …, s[T], each tensor (B, T, …).
        """

    def prior(self, noise: PerSampleRNG, *shape: int) -> Tensor:
        """(B, *shape, Z), draws from q(z) = N(0, I)."""
        return noise.normal(*shape, self.latents)

    def draw_mask(self, noise: PerSampleRNG, *shape: int) -> Tensor:
        """(B, *shape, M), dropout masks, for `step`."""
        kept = noise.uniform(*shape, self.masked) >= self.dropout
        return kept.to(noise.dtype) / (1 - self.dropout)


def each_row(masks: Tensor, rows: int) -> Tensor:
    """Masks (G, K, M) of groups of rows as masks of each row, (B, K, M); see `World.branches`."""
    return masks if len(masks) == rows else masks.repeat_interleave(rows // len(masks), dim=0)


def standardise(values: Tensor, mean: Tensor, deviation: Tensor, source: Tensor | None = None) -> None:
    """Write mean and standard deviation over all but the last axis into two buffers; 1 for constant columns.

    A column is constant if it varies by no more than the rounding error of `source`, by default the values themselves.
    """
    flat = values.flatten(0, -2)
    size = (values if source is None else source).flatten(0, -2).abs().amax(dim=0)
    spread = flat.std(dim=0)
    mean.copy_(flat.mean(dim=0))
    deviation.copy_(torch.where(spread > 10 * torch.finfo(flat.dtype).eps * size, spread, 1.0))


class WorldCase(NamedTuple):
    """A small world with a start state (B, …), for the conformance tests of registered worlds."""

    world: World
    state: State
