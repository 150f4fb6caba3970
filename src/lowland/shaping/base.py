"""The base class of training methods: an `nn.Module` that shapes an energy to be low on data and higher elsewhere.

A shaping owns everything training needs besides the energy (a generator network, log Z, chains, noise) as parameters
and buffers, so a checkpoint of energy and shaping is enough for an exact resume.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowland.energies.base import Energy
from lowland.shaping.processes import rank
from lowland.tensors import PerSampleRNG, tree_leaves


@dataclasses.dataclass(frozen=True)
class Batch:
    """One batch of data: y, an optional x, and `index` (B,) int64, the position of each sample in the data set.

    `total` is the size of the data set, if known; it is passed to `Shaping.prepare`.
    """

    y: Any
    x: Any = None
    index: Tensor | None = None
    total: int | None = None


class Losses(NamedTuple):
    """What a shaping returns.

    `losses` holds one scalar per trained parameter group, named as in `groups`; each is differentiated with respect to
    its own group only. `metrics` holds scalars to log.
    """

    losses: dict[str, Tensor]
    metrics: dict[str, Tensor]


class Shaping(nn.Module):
    """Base class of all training methods.

    A subclass defines `forward(energy, batch)` → `Losses`. It may also define `groups` (which parameters are trained),
    `prepare` (called once with the data before training), `after_step` (averages, queues, projections), and `update`,
    in which case no gradient step is taken: EM, Lloyd, online dictionary learning. The line "Energies:" of its
    docstring says which energies it takes; the methods they need are in `lowland.energies.protocols`.

    Every shaping draws its random numbers from `noise(batch)`, which is seeded by a buffer and a step counter: the same
    batch at the same step gets the same numbers, even after a resume.

    Args:
        seed: of the shaping's random numbers.
    """

    seed: Tensor
    step: Tensor
    rates: Mapping[str, float] = types.MappingProxyType({})
    """Factor on the learning rate of `fit` per parameter group; 1 for groups not named."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.register_buffer("seed", torch.tensor(seed))
        self.register_buffer("step", torch.tensor(0))
        self._calls = 0

    @property
    def trains_by_gradient(self) -> bool:
        """False for a shaping that defines `update`."""
        return type(self).update is Shaping.update

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        """Parameters to train by group; one optimiser each. By default all of the energy's under "energy"."""
        return {"energy": energy.parameters()}

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Called once, before the first step, with up to 4,096 samples of the training data, under no_grad.

        By default the energy initialises its parameters from them (`Energy.initialise`).
        """
        with torch.no_grad():
            energy.initialise(data.x, data.y, self.noise(tree_leaves(data.y, "y")[0]))

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        """Losses and metrics of one batch."""
        raise NotImplementedError

    def update(self, energy: Energy, batch: Batch) -> Losses:
        """Change the energy's parameters in place from sufficient statistics of a batch, under no_grad.

        Returns losses and metrics of the energy before the update, as far as the update computes them.
        """
        raise NotImplementedError

    def after_step(self, energy: Energy, batch: Batch) -> None:
        """Called after each step, under no_grad; by default `Energy.constrain`."""
        with torch.no_grad():
            energy.constrain()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **options: Any) -> None:
        take_sizes(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **options)

    def advance(self) -> None:
        """Called by the training loop after each step, so that the next one gets new random numbers."""
        self.step += 1
        self._calls = 0

    def noise(self, reference: Tensor) -> PerSampleRNG:
        """Random streams for the rows of `reference`, one per row, new at each step and each call.

        In data-parallel training a row has the stream that it would have in the global batch.
        """
        self._calls += 1
        seed = (int(self.seed) * 1_000_003 + int(self.step)) * 101 + self._calls
        rows = torch.arange(len(reference), device=reference.device) + rank() * len(reference)
        return PerSampleRNG(seed, rows, reference.dtype)

    def generator(self, device: torch.device | str = "cpu") -> torch.Generator:
        """A torch.Generator for this step, for a solver: `ll.infer(..., generator=self.generator())`."""
        self._calls += 1
        generator = torch.Generator(device)
        generator.manual_seed((int(self.seed) * 1_000_003 + int(self.step)) * 101 + self._calls)
        return generator


def take_sizes(module: nn.Module, state_dict: Any, prefix: str) -> None:
    """Resize buffers to the saved sizes before loading; the sizes depend on energy and data."""
    for name, buffer in module._buffers.items():
        saved = state_dict.get(prefix + name)
        if saved is not None and buffer is not None and saved.shape != buffer.shape:
            setattr(module, name, buffer.new_empty(saved.shape))


class ShapingCase(NamedTuple):
    """A shaping with an energy and a batch on which training lowers the loss; for the conformance tests."""

    shaping: Shaping
    energy: Energy
    batch: Batch
    learning_rate: float = 1e-2
