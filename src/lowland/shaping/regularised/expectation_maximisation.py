"""Learning without gradient steps (system A1): EM, Lloyd's method, online dictionary learning, exact PCA."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.kmeans import KMeans
from lowland.energies.protocols import Refittable, Replaceable, offered
from lowland.energies.structure import Structure
from lowland.errors import OptionError, UnsupportedError
from lowland.inference import free_energy, infer
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.solvers.base import Solver, bind
from lowland.tensors import soft_minimum


@register("shaping")
class ExpectationMaximisation(Shaping):
    """Two alternating steps that lower the free energy: z from y with fixed parameters, then the parameters from z.

        E-step: z̄ = Σ_z z · exp(−β E(y, z)) / Σ_z exp(−β E(y, z)), at β = ∞ the best z;   M-step: energy.refit(Σ
        statistics(y, z̄))

    EM as descent in one free energy is Neal & Hinton (1998). At β = 1 it is the EM of a mixture; at β = ∞ K-means
    becomes Lloyd's method, PCA an eigendecomposition, and sparse coding online dictionary learning (Mairal et al.
    2009). Statistics are of one batch, ideally all the data; `memory` accumulates them over smaller batches.

    Energies: `Refittable` ones, with `replace_after` `Replaceable` ones: K-means, mixtures, PCA, sparse coding.

    Args:
        solver: for z if it is not finite; None takes the most exact solver for the energy.
        beta: ∞ or 1 for the methods above.
        memory: weight in [0, 1] of the accumulated statistics at each step: 0 forgets them, 1 adds up all batches,
            which for PCA gives in one pass the result on all data.
        forgetting: ρ ≥ 0; at step t the accumulated statistics are also weighted by (1 − 1/t)^ρ, so that codes from
            early parameters fade (Mairal, Bach, Ponce & Sapiro 2010, section 3.4).
        replace_after: steps that an atom or a centre may be unused before it moves onto one of the batch's samples with
            the highest energy; None never moves it. For K-means and sparse coding.
        initialise: initialise from the data (k-means++), or keep the energy's current parameters.
        seed: of the initialisation.

    Raises:
        OptionError: for a memory outside [0, 1], a negative forgetting, or a replace_after below 1.
        UnsupportedError: in training, for an energy that is not `Refittable`, or with replace_after `Replaceable`.

    >>> import lowland as ll
    >>> energy, batch = KMeans(n_features=1, n_clusters=2), ll.shaping.Batch(torch.tensor([[0.0], [1.0], [9.0]]))
    >>> shaping = ExpectationMaximisation()
    >>> shaping.prepare(energy, batch)
    >>> _ = shaping.update(energy, batch)
    >>> energy.centres.data.sort(dim=0).values
    tensor([[0.5000],
            [9.0000]])
    """

    sums: Tensor
    idle: Tensor

    def __init__(
        self,
        solver: Solver | None = None,
        beta: float = math.inf,
        memory: float = 0.0,
        forgetting: float = 0.0,
        replace_after: int | None = None,
        initialise: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if not 0 <= memory <= 1:
            raise OptionError(f"memory must be in [0, 1], but it is {memory}.")
        if not forgetting >= 0:
            raise OptionError(f"forgetting must not be negative, but it is {forgetting}.")
        if replace_after is not None and replace_after < 1:
            raise OptionError(f"replace_after must be at least 1, or None, but it is {replace_after}.")
        self.solver, self.beta, self.memory, self.initialise = solver, beta, memory, initialise
        self.forgetting, self.replace_after = forgetting, replace_after
        self.register_buffer("sums", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("idle", torch.zeros(0, dtype=torch.int64))

    def prepare(self, energy: Energy, data: Batch) -> None:
        if self.initialise:
            super().prepare(energy, data)

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        """The mean of F_β, which each update on all data lowers; for logging, not for gradients."""
        with torch.no_grad():
            value = free_energy(energy, batch.y, batch.x, self.beta, solver=self.solver).value.mean()
        return Losses({"energy": value}, {"free_energy": value})

    def update(self, energy: Energy, batch: Batch) -> Losses:
        """One E-step and one M-step; the loss is the mean of F_β before them."""
        protocol: type[Any] = Refittable if self.replace_after is None else Replaceable
        core: Any = offered(energy, protocol, type(self).__name__)[1]
        with torch.no_grad():
            z, free = self.expected(energy, batch)
            found: dict[str, Tensor] = core.statistics(batch.x, batch.y, z)
            unused = self._unused(core, found)
            sums = self._remembered(found) if self.memory > 0 else found
            core.refit(sums)
            if len(unused):
                worst = free.argsort(descending=True)[: len(unused)]
                core.replace(unused[: len(worst)], batch.y[worst], sums)
        value = free.mean()
        return Losses({"energy": value}, {"free_energy": value})

    def _remembered(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """The accumulated sums, as views of the buffer that stores them."""
        sizes = [value.numel() for value in found.values()]
        if len(self.sums) == sum(sizes):
            self.sums *= self.memory * (1 - 1 / (int(self.step) + 1)) ** self.forgetting
        else:
            self.sums = next(iter(found.values())).new_zeros(sum(sizes), dtype=torch.float64)
        pieces = zip(self.sums.split(sizes), found.items(), strict=True)
        return {name: piece.view(value.shape).add_(value) for piece, (name, value) in pieces}

    def _unused(self, energy: Replaceable, found: dict[str, Tensor]) -> Tensor:
        """Indices of the atoms or centres that no sample has used for `replace_after` steps."""
        if self.replace_after is None:
            return torch.zeros(0, dtype=torch.int64)
        used = energy.used(found)
        idle = self.idle if self.idle.shape == used.shape else torch.zeros_like(used, dtype=torch.int64)
        idle = torch.where(used, 0, idle + 1)
        unused = (idle >= self.replace_after).nonzero()[:, 0]
        self.idle = idle.index_fill(0, unused, 0)
        return unused

    def expected(self, energy: Energy, batch: Batch) -> tuple[Tensor, Tensor]:
        """z̄ for each sample, flat (B, D), or as indices (B,) if `Structure.argmin` gives them; and F_β (B,)."""
        domain, structure, problem = energy.domain("z"), Structure(), None
        # If z is not finite, `infer` determines the structure itself.
        if domain.discrete:
            problem = bind(energy, {"x": batch.x, "y": batch.y}, "z")
            structure = problem.structure
        if self.beta == math.inf and structure.argmin is not None:
            return structure.argmin()
        if problem is None or structure.table is None:
            if self.beta != math.inf:
                raise UnsupportedError(
                    f"ExpectationMaximisation(beta={self.beta:g}) averages over all z, so z must be finite, "
                    f"but it is in {domain!r}: use beta=inf."
                )
            found = infer(energy, x=batch.x, y=batch.y, over="z", solver=self.solver, generator=self.generator())
            return domain.pack(found.value), found.energy
        elements, energies = domain.elements(problem.dtype, problem.device), structure.table()
        if self.beta == math.inf:
            least = energies.min(dim=1)
            return elements[least.indices], least.values
        return torch.softmax(-self.beta * energies, dim=1) @ elements, soft_minimum(energies, self.beta)

    def after_step(self, energy: Energy, batch: Batch) -> None:
        """Do nothing: `refit` keeps the constraints."""

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(), KMeans(2, 4), Batch(y, index=torch.arange(64)))
