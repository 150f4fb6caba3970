"""What a method is in a comparison: a row of energy, shaping and solver with settings, never a class of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.shaping.base import Shaping
from lowland.solvers.base import Solver


class Case(NamedTuple):
    """What a method is trained on: vectors of `n` numbers, `train` (N, n), points in the plane or images in [0, 1]."""

    n: int
    train: Tensor
    seed: int
    plane: bool

    @property
    def generator(self) -> torch.Generator:
        """For first weights."""
        return torch.Generator().manual_seed(self.seed)

    def choose(self, plane: float, images: float) -> float:
        """One setting for points in the plane, another for images."""
        return plane if self.plane else images


class Plan(NamedTuple):
    """Training steps, learning rate of Adam, and batch size."""

    steps: int
    lr: float = 1e-3
    batch: int = 128


def planned(
    plane: int, images: int, lr: float = 1e-3, batch: int = 128, plane_lr: float | None = None
) -> Callable[[Case], Plan]:
    """So many steps in the plane and on images, at a rate that may differ in the plane."""
    return lambda case: Plan(int(case.choose(plane, images)), case.choose(plane_lr or lr, lr), batch)


@dataclass(frozen=True)
class Row:
    """What is built and trained for one method of the comparison.

    Args:
        name: as an option of the recipe, and in `methods.toml`.
        energy, shaping: made anew for each data set and seed.
        plan: how long it is trained.
        data: what it is trained on; by default the training data as they are.
        measured: the energy that is drawn and measured; by default the trained one.
        solver: for inference of z where the energy is measured; None for the energy's default.
        beta: of the free energy that is measured.
        pictures: (K, n) vectors worth seeing: a dictionary, centroids, samples. None for nothing.
    """

    name: str
    energy: Callable[[Case], Energy]
    shaping: Callable[[Case], Shaping]
    plan: Callable[[Case], Plan]
    data: Callable[[Case], Tensor] = lambda case: case.train
    measured: Callable[[Case, Energy], Energy] = lambda case, energy: energy
    solver: Callable[[Case], Solver | None] = lambda case: None
    beta: float = float("inf")
    pictures: Callable[[Energy], Tensor | None] = lambda energy: None
