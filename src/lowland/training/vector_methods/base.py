"""A training method for vectors: an energy, a shaping and a solver with settings, not a class of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.shaping.base import Shaping
from lowland.solvers.base import Solver
from lowland.training.fit import fit


class Case(NamedTuple):
    """What a method is trained on: vectors `train` (N, n), points in the plane or images in [0, 1]; and a seed."""

    train: Tensor
    seed: int
    plane: bool

    @property
    def n(self) -> int:
        """Size of a vector."""
        return self.train.shape[1]

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
    """So many steps in the plane and on images, at a learning rate that may differ in the plane."""
    return lambda case: Plan(int(case.choose(plane, images)), case.choose(plane_lr or lr, lr), batch)


@dataclass(frozen=True)
class VectorMethod:
    """What is built and trained for one method.

    Args:
        name: key of `VECTOR_METHODS`, and of its words in `methods.toml`.
        energy, shaping: made anew for each data set and seed.
        plan: how long it is trained.
        data: what it is trained on; by default the training data as they are.
        measured: the energy that is drawn and measured; by default the trained one.
        solver: for inference of z where the energy is measured; None for the energy's default.
        beta: of the free energy that is measured.
        pictures: (K, n) vectors worth seeing: a dictionary, centroids, samples. None for nothing.
        family: key of `FAMILIES`.
        title: as in its literature.
        paper: author and year.
        text: what it does to the landscape.
        shows: what its pictures are.
        limit: why it may fail on images.
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
    family: str = ""
    title: str = ""
    paper: str = ""
    text: str = ""
    shows: str = ""
    limit: str = ""

    def train(self, case: Case, effort: float = 1.0) -> Energy:
        """Train the method, and return the energy that is to be measured, with the solver `solver(case)`.

        Args:
            case: the data and the seed.
            effort: factor on the number of training steps.

        >>> from lowland.inference import free_energy
        >>> from lowland.training.vector_methods import VECTOR_METHODS
        >>> line = torch.linspace(-1, 1, 50)[:, None] * torch.tensor([[2.0, 1.0]])
        >>> energy = VECTOR_METHODS["pca"].train(Case(line, seed=0, plane=True))
        >>> bool(free_energy(energy, line).value.max() < 1e-6)
        True
        """
        energy, shaping, plan = self.energy(case), self.shaping(case), self.plan(case)
        steps, batch = max(1, round(plan.steps * effort)), min(plan.batch, len(case.train))
        fit(
            energy, self.data(case), shaping, max_steps=steps, batch_size=batch, lr=plan.lr, validation=0.0,
            seed=case.seed, progress=False,
        )  # fmt: skip
        return self.measured(case, energy).eval()
