"""From tensors, arrays, data sets and loaders to batches whose order depends on seed, epoch and step alone."""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from lowland.data.images import Images
from lowland.domains import Binary, Product
from lowland.energies.base import Energy
from lowland.errors import DomainError, OptionError, ShapeError, check_number
from lowland.files import fingerprint
from lowland.shaping.base import Batch
from lowland.shaping.processes import place
from lowland.tensors import batch_size, check_finite, take, tree_leaves, tree_map

BLOCK = 32
"""Steps that Lightning sees as one batch: its own work, about 0.2 ms a batch, is then spread over them."""
_PIECE = 2**24
"""Bytes of an array on disk that are looked at together."""
_LOOKED_AT = 256
"""Samples by which data are known that are made as they are asked for."""


class Steps(NamedTuple):
    """A block of consecutive batches, each made when it is asked for."""

    batches: Iterator[Batch]


class Samples(Protocol):
    """A data set with random access: `take(rows)` is the batch of those rows, of which `at_once` fit into memory.

    `content()` is a fingerprint by which a resumed run knows its data.
    """

    at_once: int

    def __len__(self) -> int: ...

    def take(self, rows: Tensor) -> Batch: ...

    def content(self) -> str: ...


class Memory:
    """Data that lie in tensors: a batch is an indexing operation."""

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


class Mapped:
    """An array on disk, (N, D): each batch is read when it is asked for, and the array is never in memory as a whole.

    Args:
        y: as `numpy.load(file, mmap_mode="r")` gives it.
        energy: batches come in its type, and are checked to suit it.
    """

    at_once = sys.maxsize

    def __init__(self, y: np.memmap, energy: Energy) -> None:
        _check_numbers(y, "y")
        self.y, self.energy, self.dtype = y, energy, _own_dtype(energy)

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Tensor) -> Batch:
        part = torch.from_numpy(np.array(self.y[rows.numpy()]))
        release(self.y)
        return checked(Batch(part.to(self.dtype), None, rows), self.energy)

    def content(self) -> str:
        """Of the whole array, read once, piece by piece."""
        pieces, size = [], max(1, _PIECE // max(1, self.y[:1].nbytes))
        for start in range(0, len(self.y), size):
            pieces.append(fingerprint(np.asarray(self.y[start : start + size])))
            release(self.y)
        return fingerprint(self.y.dtype.str, list(self.y.shape), pieces)


def release(array: np.memmap) -> None:
    """Give the pages of an array on disk that were read back to the system, which may keep or drop them.

    Without this they count as memory of the process until others need it. Pages of a copy on write (`mmap_mode="c"`)
    stay, because they may have been written to.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class Stored:
    """A data set of PyTorch with random access: a batch is collated from its items."""

    at_once = sys.maxsize

    def __init__(self, dataset: Any, energy: Energy) -> None:
        self.dataset, self.energy = dataset, energy

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, rows: Tensor) -> Batch:
        batch = as_batch(default_collate([self.dataset[int(row)] for row in rows]), self.energy)
        return checked(dataclasses.replace(batch, index=rows), self.energy)

    def content(self) -> str:
        return _dataset_content(self.dataset)


def _dataset_content(dataset: Any) -> str:
    """A fingerprint of the tensors of a data set, or else of items that are evenly spread over it.

    Items that differ each time they are asked for, or are no numbers, tell nothing: then it is known by its size.
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
    """Rows that are evenly spread over so many."""
    return torch.linspace(0, count - 1, min(count, _LOOKED_AT), dtype=torch.float64).round().long()


@contextlib.contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """A look at the data changes no random numbers that come after it."""
    numpy_state, state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(state)


class Drawn:
    """Samples that are made when a batch asks for them, such as images of scenes: data for `fit` that fit no memory.

    Args:
        count: how many samples there are.
        draw: rows (B,) → their batch, always the same for the same rows.
        at_once: how many are drawn to take scales from, before training.

    >>> data = Drawn(1000, lambda rows: Batch(y=rows[:, None] / 1000), at_once=8)
    >>> data.draw(torch.tensor([500])).y
    tensor([[0.5000]])
    """

    def __init__(self, count: int, draw: Callable[[Tensor], Batch], at_once: int = 128) -> None:
        self.count, self.draw, self.at_once = count, draw, at_once


class Placed:
    """`Drawn` samples, on the device of the energy. They are checked once: whoever draws them draws all alike."""

    def __init__(self, data: Drawn, energy: Energy) -> None:
        if data.count < 1:
            raise ShapeError("The data are empty: at least one sample is needed.")
        self.data, self.energy, self.at_once = data, energy, data.at_once
        batch = self.take(torch.arange(min(data.count, 2)))
        check_finite(batch.y, "y")
        check_finite(batch.x, "x")
        energy.check(_free(batch, energy), x=batch.x, y=batch.y)

    def __len__(self) -> int:
        return self.data.count

    def take(self, rows: Tensor) -> Batch:
        return placed(dataclasses.replace(self.data.draw(rows), index=rows), self.energy)

    def content(self) -> str:
        batch = self.data.draw(_spread(min(len(self), max(1, self.at_once))))
        return fingerprint(len(self), batch.y, batch.x)


def as_batch(data: Any, energy: Energy, index: Tensor | None = None) -> Batch:
    """Data as a Batch: y alone, a pair (x, y), a dictionary with the keys y and x, or `Batch(None, x)` for x alone.

    Any other dictionary, and every dictionary where the energy takes a y of several parts, is y itself.
    """
    if isinstance(data, Batch):
        return data
    if isinstance(data, Mapping):
        named = set(data) <= {"x", "y"} and "y" in data
        composite = isinstance(energy.domains.get("y"), Product)
        return Batch(data["y"], data.get("x"), index) if named and not composite else Batch(dict(data), None, index)
    if isinstance(data, Sequence) and not isinstance(data, str):
        if len(data) == 1:
            return Batch(data[0], None, index)
        if len(data) == 2:
            if "x" not in energy.domains:
                raise ShapeError(
                    f"The data are pairs, read as (x, y), but {type(energy).__name__} takes no x: pass y alone, "
                    "without labels."
                )
            return Batch(data[1], data[0], index)
        raise ShapeError(f"Data must be y or a pair (x, y), but this is a sequence of {len(data)} parts.")
    return Batch(data, None, index)


def _free(batch: Batch, energy: Energy) -> tuple[str, ...]:
    """The variables that training data need not hold: z, y where they are x alone, and x where views are made of y."""
    return ("z", *(("y",) if batch.y is None else ()), *(("x",) if batch.x is None and energy.views else ()))


def _check_numbers(value: np.ndarray, name: str) -> None:
    if value.dtype.kind not in "fiub":
        raise ShapeError(f"{name} is an array of {value.dtype}, but numbers are needed.")


def _own_dtype(energy: Energy) -> torch.dtype:
    own = next(iter(energy.parameters()), None)
    return torch.get_default_dtype() if own is None else own.dtype


def _tensor(value: Any, name: str, dtype: torch.dtype) -> Any:
    """Arrays become tensors; arrays of float64, NumPy's default, take the type of the energy."""
    if isinstance(value, Mapping):
        return {key: _tensor(part, f"{name}[{key!r}]", dtype) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        _check_numbers(value, name)
        tensor = torch.from_numpy(np.ascontiguousarray(value))
        return tensor.to(dtype) if tensor.is_floating_point() else tensor
    if isinstance(value, Tensor):
        return value.detach()
    raise ShapeError(
        f"{name} must be a tensor, an array, a dictionary of them, a Dataset or a DataLoader, but it is a "
        f"{type(value).__name__}."
    )


def placed(batch: Batch, energy: Energy) -> Batch:
    """The batch on the device of the energy."""
    own = next(iter(energy.parameters()), None)
    if own is None or own.device.type == "cpu":
        return batch
    device, parts = own.device, (batch.y, batch.x, batch.index)
    return Batch(*(tree_map(lambda t: t.to(device, non_blocking=True), part) for part in parts), total=batch.total)


def checked(batch: Batch, energy: Energy) -> Batch:
    """The batch where the energy is, or one clear error: wrong variables, rank, type, NaN or infinity."""
    batch = placed(batch, energy)
    for name in ("y", "x"):
        check_finite(getattr(batch, name), name)
    energy.check(_free(batch, energy), x=batch.x, y=batch.y)
    return batch


def in_memory(data: Any, energy: Energy) -> Memory:
    """Tensors, arrays, dictionaries and pairs as `Memory`, checked."""
    own, dtype = next(iter(energy.parameters()), None), _own_dtype(energy)
    batch = as_batch(data, energy)
    x = None if batch.x is None else _tensor(batch.x, "x", dtype)
    y = None if batch.y is None and x is not None else _tensor(batch.y, "y", dtype)
    memory = Memory(y, x)
    if not memory.size:
        raise ShapeError("The data are empty: at least one sample is needed.")
    if own is not None:
        place = {leaf.device for leaf in [*tree_leaves(y), *tree_leaves(x)]}
        device = own.device
        first = Batch(*(tree_map(lambda t: t[:1].to(device), part) for part in (y, x)))
        if len(place) > 1:
            raise ShapeError(f"The parts of the data are on different devices: {sorted(map(str, place))}.")
        energy.check(_free(first, energy), x=first.x, y=first.y)
    check_finite(y, "y")
    check_finite(x, "x")
    _check_inside(y, energy)
    return memory


def _check_inside(y: Any, energy: Energy) -> None:
    """A DomainError for samples outside the domain of y; grey values in [0, 1] may stand for binary ones."""
    domain = energy.domains.get("y")
    if y is None or domain is None or not domain.constrained or isinstance(domain, Product):
        return
    u = domain.pack(y, "y")
    grey = isinstance(domain, Binary)
    outside = ((u < 0) | (u > 1)).any(dim=1) if grey else ~domain.contains(u)
    if bool(outside.any()):
        raise DomainError(
            f"y leaves its domain {domain!r}{', or [0, 1] for grey values,' if grey else ''} in "
            f"{int(outside.sum())} of {len(u)} samples, the first is sample {int(outside.nonzero()[0])}. Scale the "
            "data, or choose an energy of real numbers."
        )


class Order:
    """Which samples step s sees: a permutation for each epoch, drawn from (seed, epoch), cut into batches.

    The samples of an epoch that do not fill a batch wait for a later epoch.

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
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._shuffled = epoch, self.all[torch.randperm(len(self.all), generator=generator)]
        return self._shuffled[place * self.batch_size : (place + 1) * self.batch_size]


class Stream:
    """The batches of steps `first` to `last` as an iterable of blocks, which is what `fit` gives to Lightning.

    Args:
        samples: data with random access.
        order: which rows each step sees.
        first, last: the steps, counted from 0; `last` is not included.
    """

    def __init__(self, samples: Samples, order: Order, first: int, last: int) -> None:
        self.samples, self.order, self.first, self.last = samples, order, first, last

    def __len__(self) -> int:
        return -(-(self.last - self.first) // BLOCK)

    def __iter__(self) -> Iterator[Steps]:
        for start in range(self.first, self.last, BLOCK):
            yield Steps(self._batches(start, min(start + BLOCK, self.last)))

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        return (
            self.samples.take(self.order.rows(step)[own_rows(self.order.batch_size)]) for step in range(start, stop)
        )

    def sample(self, count: int) -> Batch:
        """Up to `count` training samples, for `Shaping.prepare`."""
        batch = self.samples.take(self.order.all[: min(count, self.samples.at_once)])
        return dataclasses.replace(batch, total=len(self.samples))


def own_rows(batch_size: int) -> slice:
    """The rows of a batch that this process takes, where several train as one.

    Raises:
        OptionError: if the batch cannot be shared out evenly.
    """
    rank, size = place()
    if batch_size % size:
        raise OptionError(
            f"A batch of {batch_size} samples cannot be shared out evenly to {size} processes: make batch_size a "
            f"multiple of {size}, and drop the last batch of a DataLoader."
        )
    return slice(rank * batch_size // size, (rank + 1) * batch_size // size)


class LoaderStream:
    """The batches of a user's DataLoader, in its own order, epoch after epoch; of each, the part of this process.

    A resumed run skips as many batches as were seen, so it is exact if the loader gives the same batches again.
    """

    def __init__(self, loader: Any, energy: Energy, first: int, last: int) -> None:
        self.loader, self.energy, self.first, self.last = loader, energy, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[Steps]:
        step = 0
        while step < self.last:
            before = step
            for data in self.loader:
                if self.first <= step < self.last:
                    yield Steps(iter([_own_part(checked(as_batch(data, self.energy), self.energy))]))
                step += 1
                if step >= self.last:
                    return
            if step == before:
                raise ShapeError("The DataLoader gave no batch: the data are empty, or smaller than one batch.")

    def sample(self, count: int) -> Batch:
        """Up to `count` samples from the loader's first batches, for `Shaping.prepare`."""
        return gather(self.loader, self.energy, count)


def _own_part(batch: Batch) -> Batch:
    rows = own_rows(batch_size(y=batch.y, x=batch.x))
    return Batch(*(tree_map(lambda t: t[rows], part) for part in (batch.y, batch.x, batch.index)))


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


class Prepared(NamedTuple):
    """What `fit` trains on: `samples` with random access, or the user's own `loader`; rows to train on and held out."""

    samples: Samples | None
    loader: Any
    train: Tensor
    held_out: Tensor
    batch_size: int

    def content(self) -> str:
        """A fingerprint of the data."""
        return _dataset_content(self.loader.dataset) if self.samples is None else self.samples.content()


def prepare(data: Any, energy: Energy, batch_size: int | None, validation: float, seed: int) -> Prepared:
    """Read and check the data, and hold a part of it out.

    Raises:
        ShapeError, DomainError: for data that are empty, not finite, or of the wrong rank, type or device.
        OptionError: if a batch is larger than the training data, or `validation` is not in [0, 1).
    """
    check_number("validation", validation, least=0, below=1)
    check_number("batch_size", batch_size, least=1, whole=True, none="choose it")
    batch_size = None if batch_size is None else int(batch_size)
    nothing = torch.arange(0)
    if isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=batch_size or 128)
    if isinstance(data, DataLoader):
        return Prepared(None, data, nothing, nothing, batch_size or data.batch_size or 0)
    held = None
    if isinstance(data, Images):
        memory, held = _images(data, energy, validation)
        samples: Samples = memory
    elif isinstance(data, Drawn):
        samples = Placed(data, energy)
    elif isinstance(data, Dataset | np.memmap):
        samples = Stored(data, energy) if isinstance(data, Dataset) else Mapped(data, energy)
        if not len(samples):
            raise ShapeError("The data set is empty: at least one sample is needed.")
        samples.take(torch.arange(min(len(samples), 2)))
    else:
        samples = in_memory(data, energy)
    rows = torch.arange(len(samples))
    if held is None:
        count = min(round(len(rows) * validation), len(rows) - 1)
        shuffled = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed * 1_000_003 - 1))
        held, rows = shuffled[:count].sort().values, shuffled[count:].sort().values
    else:
        rows = rows[: len(rows) - len(held)]
    if batch_size is not None and batch_size > len(rows):
        apart = f" ({len(held)} of {len(samples)} are held out for validation)" if len(held) else ""
        raise OptionError(f"batch_size is {batch_size}, but there are only {len(rows)} samples to train on{apart}.")
    return Prepared(samples, None, rows, held, batch_size or min(128, len(rows)))


def _images(data: Images, energy: Energy, validation: float) -> tuple[Memory, Tensor]:
    """Training images, then the set's own validation images, in the shape of the energy's y."""
    y = torch.cat([data.train, data.validation]) if validation else data.train
    domain = energy.domains.get("y")
    if domain is not None and domain.size == y[0].numel():
        y = y.reshape(len(y), *domain.shape)
    return in_memory(y, energy), torch.arange(len(data.train), len(y))
