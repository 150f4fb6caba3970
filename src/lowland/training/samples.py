"""Data sets with random access: in memory, on disk, computed on demand, or a `Dataset` of PyTorch."""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, TensorDataset, default_collate

from lowland.energies.base import Energy
from lowland.errors import ShapeError
from lowland.files import fingerprint
from lowland.shaping.base import Batch
from lowland.tensors import batch_size, check_finite, take, tree_leaves, tree_map
from lowland.training.batches import (
    as_batch,
    as_tensor,
    check_inside,
    check_numbers,
    checked,
    free_variables,
    own_dtype,
    to_device,
)

_PIECE = 2**24
"""Bytes of an array on disk that are read at once."""
_SPREAD = 256
"""How many samples identify data that are computed on demand."""


class Samples(Protocol):
    """A data set with random access: `take(rows)` is the batch of those rows; up to `at_once` rows fit into memory.

    `content()` is a fingerprint: a run resumes only with data of the same fingerprint.
    """

    at_once: int

    def __len__(self) -> int: ...

    def take(self, rows: Tensor) -> Batch: ...

    def content(self) -> str: ...


class Memory:
    """Data in tensors: a batch is an indexing operation."""

    at_once = sys.maxsize

    def __init__(self, y: Any, x: Any = None) -> None:
        self.y, self.x = y, x
        self.size = batch_size(y=y, x=x)

    def __len__(self) -> int:
        return self.size

    def take(self, rows: Tensor) -> Batch:
        return Batch(take(self.y, rows), take(self.x, rows), rows)

    def content(self) -> str:
        return fingerprint(self.y, self.x)


def in_memory(data: Any, energy: Energy) -> Memory:
    """Tensors, arrays, dictionaries and pairs as `Memory`, checked."""
    own, dtype = next(iter(energy.parameters()), None), own_dtype(energy)
    batch = as_batch(data, energy)
    x = None if batch.x is None else as_tensor(batch.x, "x", dtype)
    y = None if batch.y is None and x is not None else as_tensor(batch.y, "y", dtype)
    memory = Memory(y, x)
    if not memory.size:
        raise ShapeError("The data are empty: at least one sample is needed.")
    if own is not None:
        place = {leaf.device for leaf in [*tree_leaves(y), *tree_leaves(x)]}
        device = own.device
        first = Batch(*(tree_map(lambda t: t[:1].to(device), part) for part in (y, x)))
        if len(place) > 1:
            raise ShapeError(f"The parts of the data are on different devices: {sorted(map(str, place))}.")
        energy.check(free_variables(first, energy), x=first.x, y=first.y)
    check_finite(y, "y")
    check_finite(x, "x")
    check_inside(y, energy)
    return memory


class Memmap:
    """An array on disk, (N, D): each batch is read when it is needed, and the whole array is never in memory.

    Args:
        y: as `numpy.load(file, mmap_mode="r")` returns it.
        energy: gives the dtype of the batches and the domains they are checked against.
    """

    at_once = sys.maxsize

    def __init__(self, y: np.memmap, energy: Energy) -> None:
        check_numbers(y, "y")
        self.y, self.energy, self.dtype = y, energy, own_dtype(energy)

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Tensor) -> Batch:
        part = torch.from_numpy(np.array(self.y[rows.numpy()]))
        release(self.y)
        return checked(Batch(part.to(self.dtype), None, rows), self.energy)

    def content(self) -> str:
        """A fingerprint of the whole array, which is read once, in chunks."""
        pieces, size = [], max(1, _PIECE // max(1, self.y[:1].nbytes))
        for start in range(0, len(self.y), size):
            pieces.append(fingerprint(np.asarray(self.y[start : start + size])))
            release(self.y)
        return fingerprint(self.y.dtype.str, list(self.y.shape), pieces)


def release(array: np.memmap) -> None:
    """Let the operating system drop the pages of a memory-mapped array that have been read.

    Otherwise they count as memory of the process. Pages of a copy-on-write array (`mmap_mode="c"`) stay, because they
    may have been written to.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class Lazy:
    """Samples computed when a batch needs them, such as rendered images: for data too large for memory.

    Args:
        count: how many samples there are.
        draw: rows (B,) → their batch; the same rows must always give the same batch.
        at_once: how many `Shaping.prepare` gets before training.

    >>> data = Lazy(1000, lambda rows: Batch(y=rows[:, None] / 1000), at_once=8)
    >>> data.draw(torch.tensor([500])).y
    tensor([[0.5000]])
    """

    def __init__(self, count: int, draw: Callable[[Tensor], Batch], at_once: int = 128) -> None:
        self.count, self.draw, self.at_once = count, draw, at_once


class OnDevice:
    """`Lazy` samples on the energy's device. Only the first two are checked, since one function computes them all."""

    def __init__(self, data: Lazy, energy: Energy) -> None:
        if data.count < 1:
            raise ShapeError("The data are empty: at least one sample is needed.")
        self.data, self.energy, self.at_once = data, energy, data.at_once
        batch = self.take(torch.arange(min(data.count, 2)))
        check_finite(batch.y, "y")
        check_finite(batch.x, "x")
        energy.check(free_variables(batch, energy), x=batch.x, y=batch.y)

    def __len__(self) -> int:
        return self.data.count

    def take(self, rows: Tensor) -> Batch:
        return to_device(dataclasses.replace(self.data.draw(rows), index=rows), self.energy)

    def content(self) -> str:
        batch = self.data.draw(_spread(min(len(self), max(1, self.at_once))))
        return fingerprint(len(self), batch.y, batch.x)


class FromDataset:
    """A PyTorch `Dataset` with random access: a batch is collated from its items."""

    at_once = sys.maxsize

    def __init__(self, dataset: Any, energy: Energy) -> None:
        self.dataset, self.energy = dataset, energy

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, rows: Tensor) -> Batch:
        batch = as_batch(default_collate([self.dataset[int(row)] for row in rows]), self.energy)
        return checked(dataclasses.replace(batch, index=rows), self.energy)

    def content(self) -> str:
        return dataset_content(self.dataset)


def dataset_content(dataset: Any) -> str:
    """A fingerprint of a data set's tensors, or of items spread evenly over it if it has none.

    Random or non-numeric items identify nothing; then only the class and the size count.
    """
    if isinstance(dataset, IterableDataset):
        return type(dataset).__name__
    size = f"{type(dataset).__name__} of {len(dataset)}"
    if isinstance(dataset, TensorDataset):
        return f"{size}, {fingerprint(*dataset.tensors)}"
    try:
        with _random_numbers_kept():
            first, second = (fingerprint(*(dataset[row] for row in _spread(len(dataset)).tolist())) for _ in range(2))
    except TypeError:
        return size
    return f"{size}, {first}" if first == second else size


def _spread(count: int) -> Tensor:
    """Evenly spaced rows out of `count`."""
    return torch.linspace(0, count - 1, min(count, _SPREAD), dtype=torch.float64).round().long()


@contextlib.contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """Restore the global random states afterwards, since reading items may draw from them."""
    numpy_state, state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(state)
