"""Learning without gradient steps (row A1): EM, Lloyd's method, online dictionary learning, exact PCA."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.kmeans import KMeans
from lowland.errors import OptionError, UnsupportedError
from lowland.inference import free_energy, infer
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.solvers.base import Solver, bind


@register("shaping")
class ExpectationMaximisation(Shaping):
    """Two steps, each of which lowers the free energy: z from y with the parameters held, then the parameters from z.

        E-step: z̄ = Σ_z z · exp(−β E(y, z)) / Σ_z exp(−β E(y, z)), at β = ∞ the best z;   M-step: energy.refit(Σ
        statistics(y, z̄))

    EM as descent in one free energy is Neal & Hinton (1998). At β = 1 it is the EM of a mixture; at β = ∞ K-means
    becomes Lloyd's method, PCA an eigendecomposition, and sparse coding online dictionary learning (Mairal et al.
    2009). Statistics are of one batch, the whole data at best; `memory` lets smaller batches add up.

    Args:
        solver: for z where it is not finite; None takes the most exact that the energy offers.
        beta: ∞ or 1 for the methods above.
        memory: weight in [0, 1] that the statistics so far keep at each step: 0 forgets them, 1 adds all batches up,
            which for PCA gives in one pass what the whole data would give.
        initialise: whether training starts from the data (k-means++), or from the energy's parameters as they are.
        seed: of the start.

    Raises:
        OptionError: for a memory outside [0, 1].
        UnsupportedError: in training, for an energy without `statistics` and `refit`.

    >>> import lowland as ll
    >>> energy, batch = KMeans(n_features=1, n_clusters=2), ll.shaping.Batch(torch.tensor([[0.0], [1.0], [9.0]]))
    >>> shaping = ExpectationMaximisation()
    >>> shaping.prepare(energy, batch)
    >>> shaping.update(energy, batch)
    >>> energy.centres.data.sort(dim=0).values
    tensor([[0.5000],
            [9.0000]])
    """

    sums: Tensor

    def __init__(
        self,
        solver: Solver | None = None,
        beta: float = math.inf,
        memory: float = 0.0,
        initialise: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if not 0 <= memory <= 1:
            raise OptionError(f"memory must be in [0, 1], but it is {memory}.")
        self.solver, self.beta, self.memory, self.initialise = solver, beta, memory, initialise
        self.register_buffer("sums", torch.zeros(0, dtype=torch.float64))

    def prepare(self, energy: Energy, data: Batch) -> None:
        if self.initialise:
            super().prepare(energy, data)

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        """The mean of F_β, which each update of the whole data lowers; it is for the log, not for gradients."""
        with torch.no_grad():
            value = free_energy(energy, batch.y, batch.x, self.beta, solver=self.solver).value.mean()
        return Losses({"energy": value}, {"free_energy": value})

    def update(self, energy: Any, batch: Batch) -> None:
        if not hasattr(energy, "refit"):
            raise UnsupportedError(
                "ExpectationMaximisation needs an energy with `statistics` and `refit`, such as KMeans or "
                f"GaussianMixture, but {type(energy).__name__} has none: train it by gradient, for instance with "
                "MinimumEnergy."
            )
        with torch.no_grad():
            found: dict[str, Tensor] = energy.statistics(batch.x, batch.y, self.expected(energy, batch))
            flat = torch.cat([value.flatten().double() for value in found.values()])
            if self.memory > 0:
                if self.sums.shape == flat.shape:
                    flat = self.memory * self.sums + flat
                self.sums = flat
            pieces = flat.split([value.numel() for value in found.values()])
            energy.refit({name: piece.reshape(found[name].shape) for name, piece in zip(found, pieces, strict=True)})

    def expected(self, energy: Energy, batch: Batch) -> Tensor:
        """z̄ for each sample, flat, (B, D)."""
        problem = bind(energy, {"x": batch.x, "y": batch.y}, "z")
        if problem.structure.table is None:
            if self.beta != math.inf:
                raise UnsupportedError(
                    f"The mean of z at beta = {self.beta} needs a finite z, but it is {problem.domain!r}."
                )
            found = infer(energy, x=batch.x, y=batch.y, over="z", solver=self.solver, generator=self.generator())
            return problem.domain.pack(found.value)
        elements, table = problem.domain.elements(problem.dtype, problem.device), problem.structure.table()
        if self.beta == math.inf:
            return elements[table.argmin(dim=1)]
        return torch.softmax(-self.beta * table, dim=1) @ elements

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(), KMeans(2, 4), Batch(y, index=torch.arange(64)))
