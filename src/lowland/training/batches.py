"""Turns what a user passes (tensors, arrays, dictionaries, pairs) into a checked `Batch` on the energy's device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowland.domains import Binary, Product
from lowland.energies.base import Energy
from lowland.errors import DomainError, ShapeError
from lowland.shaping.base import Batch
from lowland.tensors import check_finite, tree_map


def as_batch(data: Any, energy: Energy, index: Tensor | None = None) -> Batch:
    """Data as a Batch: y alone, a pair (x, y), a dictionary with the keys y and x, or `Batch(None, x)` for x alone.

    Any other dictionary is y itself, and so is every dictionary if the energy's y has several parts.
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


def to_device(batch: Batch, energy: Energy) -> Batch:
    """Move the batch to the energy's device."""
    own = next(iter(energy.parameters()), None)
    if own is None or own.device.type == "cpu":
        return batch
    device, parts = own.device, (batch.y, batch.x, batch.index)
    return Batch(*(tree_map(lambda t: t.to(device, non_blocking=True), part) for part in parts), total=batch.total)


def checked(batch: Batch, energy: Energy) -> Batch:
    """The batch on the energy's device, or one clear error: wrong variables, rank, dtype, NaN or infinity."""
    batch = to_device(batch, energy)
    for name in ("y", "x"):
        check_finite(getattr(batch, name), name)
    energy.check(free_variables(batch, energy), x=batch.x, y=batch.y)
    return batch


def free_variables(batch: Batch, energy: Energy) -> tuple[str, ...]:
    """Variables that training data need not contain: z; y if only x is given; x if the shaping makes views of y."""
    return ("z", *(("y",) if batch.y is None else ()), *(("x",) if batch.x is None and energy.views else ()))


def own_dtype(energy: Energy) -> torch.dtype:
    """The dtype of the energy's parameters."""
    own = next(iter(energy.parameters()), None)
    return torch.get_default_dtype() if own is None else own.dtype


def check_numbers(value: np.ndarray, name: str) -> None:
    """Raise a ShapeError unless the array holds numbers."""
    if value.dtype.kind not in "fiub":
        raise ShapeError(f"{name} is an array of {value.dtype}, but numbers are needed.")


def as_tensor(value: Any, name: str, dtype: torch.dtype) -> Any:
    """Arrays become tensors; floating-point arrays, float64 by NumPy's default, are cast to the energy's dtype."""
    if isinstance(value, Mapping):
        return {key: as_tensor(part, f"{name}[{key!r}]", dtype) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        check_numbers(value, name)
        tensor = torch.from_numpy(np.ascontiguousarray(value))
        return tensor.to(dtype) if tensor.is_floating_point() else tensor
    if isinstance(value, Tensor):
        return value.detach()
    raise ShapeError(
        f"{name} must be a tensor, an array, a dictionary of them, a Dataset or a DataLoader, but it is a "
        f"{type(value).__name__}."
    )


def check_inside(y: Any, energy: Energy) -> None:
    """Raise a DomainError for samples outside the domain of y; a binary y also accepts grey values in [0, 1]."""
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
