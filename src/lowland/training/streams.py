"""The order of training data: which batch each step gets, and which part of it each process takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import OptionError, ShapeError
from lowland.shaping.base import Batch
from lowland.shaping.processes import rank, world_size
from lowland.tensors import batch_size, tree_map
from lowland.training.batches import as_batch, checked
from lowland.training.samples import Samples


class Order:
    """Which samples step s sees: a permutation for each epoch, drawn from (seed, epoch), cut into batches.

    An incomplete batch at the end of an epoch is dropped.

    >>> order = Order(torch.arange(10), batch_size=4, seed=0)
    >>> order.per_epoch, torch.equal(order.rows(5), Order(torch.arange(10), 4, 0).rows(5))
    (2, True)
    """

    def __init__(self, rows: Tensor, batch_size: int, seed: int) -> None:
        self.all, self.batch_size, self.seed = rows, batch_size, seed
        self.per_epoch = max(1, len(rows) // batch_size)
        self._epoch, self._shuffled = -1, rows

    def rows(self, step: int) -> Tensor:
        """The rows of step s = 0, 1, …"""
        epoch, number = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._shuffled = epoch, self.all[torch.randperm(len(self.all), generator=generator)]
        return self._shuffled[number * self.batch_size : (number + 1) * self.batch_size]


class Stream:
    """This process's part of the batches of steps `first` to `last`.

    Args:
        samples: data with random access.
        order: which rows each step sees.
        first, last: the steps, counted from 0; `last` is not included.
    """

    def __init__(self, samples: Samples, order: Order, first: int, last: int) -> None:
        self.samples, self.order, self.first, self.last = samples, order, first, last
        self.part: tuple[int, int] | None = None
        """(number, size) of the processes that share batches but train apart; None for those that train as one."""

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first, self.last):
            yield self.samples.take(self.order.rows(step)[own_rows(self.order.batch_size, self.part)])

    def sample(self, count: int) -> Batch:
        """Up to `count` training samples, for `Shaping.prepare`."""
        batch = self.samples.take(self.order.all[: min(count, self.samples.at_once)])
        return dataclasses.replace(batch, total=len(self.samples))


def own_rows(batch_size: int, part: tuple[int, int] | None = None) -> slice:
    """The rows of a batch that this process takes.

    Args:
        batch_size: of all processes.
        part: see `Stream`.

    Raises:
        OptionError: if the batch cannot be split evenly.
    """
    number, size = part or (rank(), world_size())
    if batch_size % size:
        raise OptionError(
            f"A batch of {batch_size} samples cannot be split evenly over {size} processes: make batch_size a "
            f"multiple of {size}, and drop the last batch of a DataLoader."
        )
    return slice(number * batch_size // size, (number + 1) * batch_size // size)


class LoaderStream:
    """This process's part of the batches of a user's DataLoader, in its own order, epoch after epoch.

    A resumed run skips the batches already used, so it is exact only if the loader yields the same batches again.
    """

    def __init__(self, loader: Any, energy: Energy, first: int, last: int) -> None:
        self.loader, self.energy, self.first, self.last = loader, energy, first, last
        self.part: tuple[int, int] | None = None
        """As of `Stream`."""

    def __iter__(self) -> Iterator[Batch]:
        step = 0
        while step < self.last:
            before = step
            for data in self.loader:
                if self.first <= step < self.last:
                    yield _own_part(checked(as_batch(data, self.energy), self.energy), self.part)
                step += 1
                if step >= self.last:
                    return
            if step == before:
                raise ShapeError("The DataLoader gave no batch: the data are empty, or smaller than one batch.")

    def sample(self, count: int) -> Batch:
        """Up to `count` samples from the loader's first batches, for `Shaping.prepare`."""
        return gather(self.loader, self.energy, count)


def _own_part(batch: Batch, part: tuple[int, int] | None) -> Batch:
    rows = own_rows(batch_size(y=batch.y, x=batch.x), part)
    return Batch(*(tree_map(lambda t: t[rows], tree) for tree in (batch.y, batch.x, batch.index)))


def gather(loader: Any, energy: Energy, count: int) -> Batch:
    """The first `count` samples of a loader as one batch."""
    found: list[Batch] = []
    seen = 0
    for data in loader:
        found.append(as_batch(data, energy))
        seen += batch_size(y=found[-1].y)
        if seen >= count:
            break
    if not found:
        raise ShapeError("The DataLoader gave no batch: the data are empty, or smaller than one batch.")
    return Batch(*(_joined([getattr(batch, name) for batch in found], count) for name in ("y", "x")))


def _joined(parts: list[Any], count: int) -> Any:
    if isinstance(parts[0], Mapping):
        return {key: _joined([part[key] for part in parts], count) for key in parts[0]}
    return None if parts[0] is None else torch.cat(parts)[:count]
