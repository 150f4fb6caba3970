"""Maximum likelihood: push down on the data, push up everywhere (system C1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.gaussian import Gaussian
from lowland.energies.network import NetworkEnergy
from lowland.energies.protocols import Likely
from lowland.errors import OptionError, UnsupportedError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.contrastive.points import binarise
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG, tree_leaves


@register("shaping")
class MaximumLikelihood(FreeEnergyShaping):
    """L = mean F(x, y) + log Z, for energies with log Z in closed form (`Energy.log_partition`).

    Its gradient is ∂F/∂θ at the data minus the mean of ∂F/∂θ under exp(−F) / Z. Source: LeCun et al., "A tutorial on
    energy-based learning" (2006), section on the negative log-likelihood loss.

    Energies: those with `log_partition`: `Gaussian`, `Classifier`, `LeNet`, `Lattice`, `Bits`, `NextSymbol`,
    `Autoregressive`, and a small `RBM`.

    Args:
        views: changes each x at random, anew in each step, where the answer y stays right, such as
            `lowland.data.views.Distortions`; None leaves x as it is.
        seed: see `Shaping`.

    Raises:
        UnsupportedError: if the energy has no log Z in closed form, or there are views but no x.

    >>> case = MaximumLikelihood.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(self, views: Callable[[Any, PerSampleRNG], Any] | None = None, seed: int = 0) -> None:
        super().__init__(beta=1.0, seed=seed)  # log Z is that of exp(−F_1)
        self.views = views

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        x = batch.x
        if self.views is not None:
            if x is None:
                raise UnsupportedError("The views of MaximumLikelihood change x, but these data have none.")
            x = self.views(x, self.noise(tree_leaves(x, "x")[0]))
        weight, core = energy.core()
        if weight == 1 and isinstance(core, Likely):
            energy.check(("z",), x=x, y=batch.y)
            likelihood = core.log_likelihood(None if x is None else core.encode(x), batch.y)
            return Losses({"energy": -likelihood.mean().to(tree_leaves(batch.y, "y")[0].dtype)}, {})
        encoded = None if x is None else energy.encode(x)
        log_partition = energy.log_partition(encoded)
        if log_partition is None:
            raise UnsupportedError(
                f"{type(energy).__name__} has no log Z in closed form: use MaximumLikelihoodGrid in two dimensions, "
                "VariationalLikelihood, or a contrastive shaping."
            )
        y = binarise(self, energy, batch.y)
        energy.check(("z",), x=x, y=y)
        # F from what is encoded already: a network is the most expensive part.
        free = energy.marginal(encoded, y, 1.0) if "z" in energy.domains else energy.energy(encoded, y, None)
        loss = (self.free(energy, y, x) if free is None else free).mean() + log_partition.mean()
        return Losses({"energy": loss}, {"log_partition": log_partition.detach().mean()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 1 + 0.5 * PerSampleRNG(0, torch.arange(64)).normal(2)
        return ShapingCase(cls(), Gaussian(2), Batch(y, index=torch.arange(64)))


@register("shaping")
class MaximumLikelihoodGrid(FreeEnergyShaping):
    """L = mean F(y) + log Σ_g exp(−F(g)) Δ + λ mean_g ‖∇F(g)‖², g the nodes of a grid in the plane.

    Cells have area Δ. With λ = 0 this is maximum likelihood to the accuracy of the quadrature. On data that lie on a
    curve it digs an ever deeper and narrower canyon (system L3), in which gradient descent is useless; λ > 0 keeps F
    smooth, as the penalty of Gulrajani et al. (2017) does for WGAN. Probability mass outside the box is ignored.

    Energies: any with a y in two dimensions and no x.

    Args:
        low, high: the box, the same for both coordinates, in units of y.
        nodes: number along each axis; cells should be smaller than the narrowest feature of F.
        smoothness: λ ≥ 0, in units of y².
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    Raises:
        OptionError: for an empty box, fewer than two nodes or a negative λ.
        UnsupportedError: if y is not in two dimensions or the energy is conditional.

    >>> case = MaximumLikelihoodGrid.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    grid: Tensor

    def __init__(
        self,
        low: float = -3.0,
        high: float = 3.0,
        nodes: int = 64,
        smoothness: float = 0.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if not low < high or nodes < 2 or not smoothness >= 0:
            raise OptionError(
                f"A grid needs low < high, nodes ≥ 2 and smoothness ≥ 0, not {low}, {high}, {nodes}, {smoothness}."
            )
        self.smoothness = smoothness
        self.area, self.cell = (high - low) ** 2, ((high - low) / nodes) ** 2
        middles = low + (torch.arange(nodes) + 0.5) * (high - low) / nodes
        self.register_buffer("grid", torch.cartesian_prod(middles, middles))

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        if energy.domain("y").size != 2 or batch.x is not None:
            raise UnsupportedError("MaximumLikelihoodGrid integrates over the plane: it trains F(y) of two features.")
        grid = self.grid.to(batch.y)
        smoothness = batch.y.new_zeros(())
        if self.smoothness:
            value, gradient = self.slope(energy, grid)
            smoothness = gradient.square().sum(dim=1).mean()
        else:
            value = self.free(energy, grid)
        log_partition = torch.logsumexp(-value, dim=0) + math.log(self.cell)
        nll = self.free(energy, batch.y).mean() + log_partition
        metrics = {"nll": nll.detach(), "log_partition": log_partition.detach(), "smoothness": smoothness.detach()}
        return Losses({"energy": nll + self.smoothness * smoothness}, metrics)

    def steepest(self, length: float) -> float:
        """A / (4 λ ℓ), the slope beside a curve of data that training tends to, in units of F per unit of y.

        Where L has its minimum, ρ − p = (2 λ / A) ∇²F, with ρ the density of the data, p that of the model and A the
        area of the box. The flux of ∇F out of a curve of length ℓ, evenly filled, is thus A / (2 λ ℓ), half to each
        side. Without smoothness there is no limit.

        >>> MaximumLikelihoodGrid(-1.0, 1.0, smoothness=0.1).steepest(length=5.0)
        2.0
        """
        return self.area / (4 * self.smoothness * length) if self.smoothness else math.inf

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 0.5 * PerSampleRNG(0, torch.arange(64)).normal(2)
        return ShapingCase(cls(nodes=24, smoothness=0.01), NetworkEnergy(2, hidden=(16,)), Batch(y))
