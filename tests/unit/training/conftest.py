"""A small energy and shapings for the tests of training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy
from lowland.shaping.base import Batch, Losses, Shaping


class Bowl(Energy):
    """E(y) = ½ ‖y − m‖²: least mean over data where m is their mean."""

    def __init__(self, size: int = 2, conditional: bool = False) -> None:
        super().__init__(y=Reals(size), **({"x": Reals(size)} if conditional else {}))
        self.centre = nn.Parameter(torch.zeros(size))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        shift = 0 if x is None else x
        return 0.5 * (y - self.centre - shift).square().sum(dim=1)


class Mean(Shaping):
    """The mean energy of the data; keeps what it was called with."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.prepared: list[int] = []
        self.seen: list[list[int]] = []

    def prepare(self, energy: Energy, data: Batch) -> None:
        self.prepared.append(len(data.y))

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        if batch.index is not None:
            self.seen.append(batch.index.tolist())
        return Losses({"energy": energy(x=batch.x, y=batch.y).mean()}, {"width": batch.y.std().detach()})


@pytest.fixture
def bowl() -> type[Bowl]:
    return Bowl


@pytest.fixture
def mean() -> type[Mean]:
    return Mean


@pytest.fixture
def points(generator: torch.Generator) -> Tensor:
    return torch.randn(100, 2, generator=generator) + 3
