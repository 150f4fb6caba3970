"""Lower the free energy on data, and nothing else: for energies that cannot be low everywhere (systems A1, A2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lowland.energies.autoencoder import Autoencoder
from lowland.energies.base import Energy
from lowland.errors import OptionError
from lowland.inference import free_energy
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.shaping.free import naming
from lowland.solvers.base import Solver
from lowland.tensors import tree_map


@register("shaping")
class MinimumEnergy(Shaping):
    """L = mean over data of F_β(x, y), with the energy's own constraints, such as unit-norm atoms, after each step.

    If F needs a solver, the gradient is that of E at the solution (envelope theorem): infer z, then step on E. It
    trains PCA, auto-encoders with a narrow code and sparse coding (β = ∞), and is maximum likelihood for a normalised
    density such as a flow.

    Energies: any. An energy that is not bounded by construction becomes low everywhere.

    Args:
        solver: for z; None takes the most exact solver for the energy.
        beta: ∞ for F = min_z E, 1 for −log p of a mixture.
        noise: standard deviation of Gaussian noise added to y, in units of y. A density trained on data with few levels
            needs some, or it digs an infinitely deep ravine at each level (Theis, van den Oord & Bethge 2016,
            section 3.1).
        seed: of the noise and of stochastic solvers.

    Raises:
        OptionError: for negative noise.
        DomainError: in training, with a finite beta, for a z without a normalised prior.

    >>> import lowland as ll
    >>> energy = ll.energies.SparseCoding(n_features=4, n_atoms=8)
    >>> shaping = MinimumEnergy(solver=ll.solvers.FISTA(max_steps=20))
    >>> sorted(shaping(energy, ll.shaping.Batch(torch.ones(2, 4))).losses)
    ['energy']
    """

    def __init__(self, solver: Solver | None = None, beta: float = math.inf, noise: float = 0.0, seed: int = 0) -> None:
        super().__init__(seed)
        if not noise >= 0:
            raise OptionError(f"noise must not be negative, but it is {noise}.")
        self.solver, self.beta, self.noise_deviation = solver, beta, noise

    def prepare(self, energy: Energy, data: Batch) -> None:
        super().prepare(energy, Batch(tree_map(self._disturb, data.y), data.x, data.index))

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        y = tree_map(self._disturb, batch.y)
        with naming(self, self.beta):
            found = free_energy(energy, y, batch.x, self.beta, solver=self.solver, generator=self.generator())
        free = found.value.mean()
        metrics = {"free_energy": free.detach()}
        penalty = self.penalty(energy, batch)
        if penalty is None:
            return Losses({"energy": free}, metrics)
        return Losses({"energy": free + penalty}, metrics | {"penalty": penalty.detach()})

    def penalty(self, energy: Energy, batch: Batch) -> Tensor | None:
        """A scalar added to the mean free energy, or None."""
        return None

    def _disturb(self, y: Tensor) -> Tensor:
        if self.noise_deviation == 0:
            return y
        noise = self.noise(y).normal(y[0].numel())
        return y + self.noise_deviation * noise.reshape(y.shape)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(), Autoencoder(4, 2, hidden=(8,)), Batch(y, index=torch.arange(32)))
