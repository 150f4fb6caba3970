"""Arrays for estimators, tensors for energies, and training between them."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.shaping.base import Shaping
from lowland.training.fit import fit


def points(energy: Energy, array: np.ndarray) -> Tensor:
    """Rows of an array (N, D) in the shape, type and device that the energy's y needs.

    >>> import lowland as ll
    >>> points(ll.energies.Ellipse(), np.zeros((3, 2))).dtype
    torch.float32
    """
    own = next(iter(energy.parameters()), None)
    dtype, device = (torch.float64, torch.device("cpu")) if own is None else (own.dtype, own.device)
    value = torch.as_tensor(np.array(array), dtype=dtype, device=device)
    size = energy.domain("y").size
    return value.reshape(-1, *energy.domain("y").shape) if value.shape[1] == size else value


def train(
    energy: Energy, y: Tensor, shaping: Shaping, max_steps: int, batch_size: int | None, lr: float, seed: int
) -> None:
    """Train in place, silently, on all of y; a shaping without gradient steps sees all of it at each of them."""
    whole = not shaping.trains_by_gradient and batch_size is None
    size = len(y) if whole else min(batch_size or 128, len(y))
    # The shaping has state of its own: a copy makes a second fit equal to the first.
    fit(energy, y, copy.deepcopy(shaping), max_steps, size, lr, validation=0.0, seed=seed, progress=False)
