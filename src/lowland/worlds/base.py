"""What a world model is: one step s[t+1] = g(s[t], a[t], z[t]), all noise being an explicit input.

Shape letters: B samples, T steps, A size of an action, Z of a latent, M units that a dropout mask acts on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from lowland.domains import Domain
from lowland.tensors import PerSampleRNG, repeat_rows

State: TypeAlias = Mapping[str, Tensor]
"""A state of a world: named tensors, each with the batch as first axis."""

Cost: TypeAlias = Callable[[State, Tensor], Tensor]
"""C(s[t+1], a[t]), for a state and an action (B, A): (B,). A user's cost is one function."""


class World(nn.Module, PyTorchModelHubMixin):
    """s[t+1] = g(s[t], a[t], z[t]), a forward model (LeCun 2019, row W1; Henaff, Canziani & LeCun 2019, section 3.1).

    A subclass defines `step` and `features`, and `initialise` where it z-scores what goes in and out. It is
    deterministic: the latent z and the dropout mask are inputs, so that they can be held still while actions are
    sought. Actions are in shares of their bounds, from −1 to 1, where they are bounded.

    Args:
        actions: domain of one action, `Box(A, low=-1, high=1)` or `Reals(A)`.
        latents: Z; 0 for a deterministic model.
        masked: M, the number of hidden units that dropout acts on; 0 for a model without dropout.
        dropout: probability that a masked unit is dropped.
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

        Roll-outs ask for it with `fast=True`; see `lowland.worlds.rollout`.

        Args:
            state: s[0].
            actions: a[0], …, a[T − 1], (B, T, A).
            z: (B, T, Z), or None.
        """
        return None

    def branches(self, state: State, action: Tensor, z: Tensor | None, masks: Tensor) -> State:
        """The next states under K masks: B · K rows, the K of a sample one after the other.

        Masks are (G, K, M): each of G runs of B / G rows has masks of its own, and mostly G = B.

        A subclass may share between the masks what does not depend on them, such as its encoder.
        """
        count = masks.shape[1]
        rows, again = repeat_rows(state, count), repeat_rows(z, count)
        return self.step(rows, repeat_rows(action, count), again, each_row(masks, len(action)).flatten(0, 1))

    def features(self, state: State) -> Tensor:
        """(B, D), what the model predicts of a state, z-scored with the statistics of its training data."""
        raise NotImplementedError

    def misfit(self, predicted: State, actual: State) -> Tensor:
        """‖φ(ŝ) − φ(s)‖², (B,), φ being `features`. A world whose states have gaps leaves out what is not known."""
        return (self.features(predicted) - self.features(actual)).square().sum(dim=1)

    def initialise(self, state: State, actions: Tensor, states: State) -> None:
        """Set what z-scores inputs and predictions from logged trajectories, in place and under no_grad.

        By default nothing. `ForwardModel` calls it before the first step of training.

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
    """Masks (G, K, M) of G runs of rows as masks of each row, (B, K, M); see `World.branches`."""
    return masks if len(masks) == rows else masks.repeat_interleave(rows // len(masks), dim=0)


def standardise(values: Tensor, mean: Tensor, deviation: Tensor, source: Tensor | None = None) -> None:
    """Write mean and standard deviation over all but the last axis into two buffers; 1 for what does not change.

    No change is one within the rounding of the `source` of the values, by default themselves.
    """
    flat = values.flatten(0, -2)
    size = (values if source is None else source).flatten(0, -2).abs().amax(dim=0)
    spread = flat.std(dim=0)
    mean.copy_(flat.mean(dim=0))
    deviation.copy_(torch.where(spread > 10 * torch.finfo(flat.dtype).eps * size, spread, 1.0))


class WorldCase(NamedTuple):
    """A small world with a state (B, …) that it can start from; for the tests that every registered world passes."""

    world: World
    state: State
