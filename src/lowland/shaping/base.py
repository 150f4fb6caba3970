"""What a training method is: an `nn.Module` that shapes an energy to be low on data and higher elsewhere.

A shaping owns whatever training needs beyond the energy (a generator network, log Z, chains, noise) as parameters and
buffers, so that a checkpoint of the energy and its shaping resumes to the same numbers.
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

    `total` is how many samples the data set has, where that is known; `Shaping.prepare` is told it.
    """

    y: Any
    x: Any = None
    index: Tensor | None = None
    total: int | None = None


class Losses(NamedTuple):
    """What a shaping returns.

    `losses` holds one scalar for each parameter group that it trains, by the names of `groups`, each differentiated
    with respect to its own group only; `metrics` holds scalars to be logged.
    """

    losses: dict[str, Tensor]
    metrics: dict[str, Tensor]


class Shaping(nn.Module):
    """Base class of all training methods.

    A subclass defines `forward(energy, batch)` → `Losses`. It may also define `groups` (who trains what), `prepare`
    (called once with the data before training), `after_step` (averages, queues, projections), and `update`, in which
    case no gradient step is taken at all: EM, Lloyd, online dictionary learning. The line "Energies:" of its docstring
    says which energies it takes; what these must offer is in `lowland.energies.protocols`.

    Every shaping draws its random numbers from `noise(batch)`, which is seeded by a buffer and a step counter: the same
    batch at the same step gets the same numbers, also after a resume.

    Args:
        seed: of the shaping's own random numbers.
    """

    seed: Tensor
    step: Tensor
    rates: Mapping[str, float] = types.MappingProxyType({})
    """Learning rate of a parameter group as a multiple of the one given to `fit`; 1 where it is not named."""

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

        By default the energy sets its first parameters from them (`Energy.initialise`).
        """
        with torch.no_grad():
            energy.initialise(data.x, data.y, self.noise(tree_leaves(data.y, "y")[0]))

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        """Losses and metrics of one batch."""
        raise NotImplementedError

    def update(self, energy: Energy, batch: Batch) -> Losses:
        """Change the energy's parameters in place from sufficient statistics of a batch, under no_grad.

        Returns the losses and metrics of the energy as it was before, as far as the update had to find them.
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
        """Called by the training loop after each step: new random numbers for the next."""
        self.step += 1
        self._calls = 0

    def noise(self, reference: Tensor) -> PerSampleRNG:
        """Streams of random numbers for the rows of `reference`, one stream a row, fresh at each step and each call.

        Where several processes train as one, a row has the stream that it would have in the batch of all of them.
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
    """Give buffers the size of the saved ones, which is known only from an energy and data; before they are loaded."""
    for name, buffer in module._buffers.items():
        saved = state_dict.get(prefix + name)
        if saved is not None and buffer is not None and saved.shape != buffer.shape:
            setattr(module, name, buffer.new_empty(saved.shape))


class ShapingCase(NamedTuple):
    """A shaping with an energy and a batch on which it lowers its loss; for the conformance tests."""

    shaping: Shaping
    energy: Energy
    batch: Batch
    learning_rate: float = 1e-2
