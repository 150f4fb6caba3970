"""The data of `fit`: read, checked, and split into training and held-out samples."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lowland.data.images import Images
from lowland.energies.base import Energy
from lowland.errors import OptionError, ShapeError, check_number
from lowland.training.samples import FromDataset, Lazy, Memmap, Memory, OnDevice, Samples, dataset_content, in_memory


class Prepared(NamedTuple):
    """What `fit` trains on: `samples` with random access or the user's `loader`, and the training and held-out rows."""

    samples: Samples | None
    loader: Any
    train: Tensor
    held_out: Tensor
    batch_size: int

    def content(self) -> str:
        """A fingerprint of the data."""
        return dataset_content(self.loader.dataset) if self.samples is None else self.samples.content()


def prepare(data: Any, energy: Energy, batch_size: int | None, validation: float, seed: int) -> Prepared:
    """Read and check the data, and hold out a part for validation.

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
    elif isinstance(data, Lazy):
        samples = OnDevice(data, energy)
    elif isinstance(data, Dataset | np.memmap):
        samples = FromDataset(data, energy) if isinstance(data, Dataset) else Memmap(data, energy)
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
        held_out = f" ({len(held)} of {len(samples)} are held out for validation)" if len(held) else ""
        raise OptionError(f"batch_size is {batch_size}, but there are only {len(rows)} samples to train on{held_out}.")
    return Prepared(samples, None, rows, held, batch_size or min(128, len(rows)))


def _images(data: Images, energy: Energy, validation: float) -> tuple[Memory, Tensor]:
    """Training images, then the set's own validation images, in the shape of the energy's y."""
    y = torch.cat([data.train, data.validation]) if validation else data.train
    domain = energy.domains.get("y")
    if domain is not None and domain.size == y[0].numel():
        y = y.reshape(len(y), *domain.shape)
    return in_memory(y, energy), torch.arange(len(data.train), len(y))
