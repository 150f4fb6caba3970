"""What a method is in a comparison: a row (energy, shaping, solver), its settings and a few words, never a class."""

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
class Method:
    """One row of the comparison.

    Args:
        name: as an option of the recipe.
        family: of the seven strategies.
        title: on the page.
        paper: author and year.
        text: what it does to the landscape.
        energy, shaping: made afresh for each data set and seed.
        plan: how long it is trained.
        data: what it is trained on; the training data as they are by default.
        measured: the energy that is drawn and measured; the trained one by default.
        solver: for inference of z where the energy is measured; None for the energy's default.
        beta: of the free energy that is measured.
        pictures: (K, n) vectors worth seeing: a dictionary, centroids, samples. None for nothing.
        shows: what the pictures are.
        limit: why it may fail on images.
    """

    name: str
    family: str
    title: str
    paper: str
    text: str
    energy: Callable[[Case], Energy]
    shaping: Callable[[Case], Shaping]
    plan: Callable[[Case], Plan]
    data: Callable[[Case], Tensor] = lambda case: case.train
    measured: Callable[[Case, Energy], Energy] = lambda case, energy: energy
    solver: Callable[[Case], Solver | None] = lambda case: None
    beta: float = float("inf")
    pictures: Callable[[Energy], Tensor | None] = lambda energy: None
    shows: str = ""
    limit: str = ""


class Family(NamedTuple):
    """One of the seven strategies."""

    title: str
    text: str


FAMILIES = {
    "C1": Family(
        "push down on data, push up everywhere",
        "Maximum likelihood, L = F(y) + log ∫ exp(−F): the integral pushes up in proportion to probability. It "
        "needs an integral that can be computed, or a bound on it. Left alone it digs canyons, infinitely deep and "
        "narrow.",
    ),
    "C2": Family(
        "push down on data, push up on chosen points",
        "Contrastive points stand in for the integral. All these methods differ in where they find them: chains "
        "that walk downhill, noise, flipped bits, a generator that learns to find them.",
    ),
    "C3": Family(
        "map damaged points back to the data",
        "A network learns to repair what was damaged. Its error, ‖y − r(y)‖², is low where nothing has to be repaired.",
    ),
    "A1": Family(
        "build it so that low energy has a bounded volume",
        "The architecture itself leaves room for little: a subspace, k points, k blobs, a map that keeps volume, a "
        "narrow code. Pushing down on the data is then enough, for what goes down here must come up elsewhere.",
    ),
    "A2": Family(
        "a regulariser limits the information in z",
        "The code could copy y, and every energy would be zero. A penalty on z (sparsity, noise, a finite code "
        "book) makes it too poor for that, so that only what the data have in common is cheap to say.",
    ),
    "A3": Family(
        "keep the reconstruction as constant as it can be",
        "F = ‖y − G(y)‖² with G asked not to follow y: where no data hold it, G stays put and the energy rises.",
    ),
    "A4": Family(
        "a small slope and a large curvature at the data",
        "Score matching puts a valley at each data point, ½‖∇F‖² − ΔF, and never samples or integrates.",
    ),
}


def collect() -> dict[str, Method]:
    """All methods by name, contrastive ones first, each family together."""
    from lowland.recipes.methods_contrastive import CONTRASTIVE
    from lowland.recipes.methods_regularised import REGULARISED

    methods = sorted([*CONTRASTIVE, *REGULARISED], key=lambda method: list(FAMILIES).index(method.family))
    return {method.name: method for method in methods}
