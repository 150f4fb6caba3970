"""The generic energy: a network with one output (systems E1, E2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register


@register("energy")
class NetworkEnergy(Energy):
    """F(y) = f(y), or F(x, y) = f(x, y), with f a multi-layer perceptron; plus ½‖y − μ‖² / s² with confinement s.

    Far from the data a network may decrease without bound, so that e^{−F} is not integrable and samplers diverge. The
    quadratic bowl makes e^{−F} integrable if f is Lipschitz. Source: LeCun, Chopra, Hadsell, Ranzato & Huang, "A
    tutorial on energy-based learning" (2006).

    Args:
        n_features: size of y.
        hidden: sizes of the hidden layers, SiLU between them.
        n_inputs: size of x; None for an energy of y alone.
        confinement: s > 0, the width of the bowl in units of y; None for no bowl.
        center: μ, the same for all coordinates, in units of y.
        generator: draws the initial weights.

    Raises:
        OptionError: if the confinement is not positive.

    >>> NetworkEnergy(2, hidden=(16, 16))(y=torch.zeros(5, 2)).shape
    torch.Size([5])
    >>> NetworkEnergy(2, hidden=(16,), n_inputs=3)(x=torch.zeros(5, 3), y=torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        n_features: int,
        hidden: tuple[int, ...] = (256, 256),
        n_inputs: int | None = None,
        confinement: float | None = None,
        center: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        if confinement is not None and not confinement > 0:
            raise OptionError(f"confinement is a width and must be positive, or None for no bowl, not {confinement}.")
        domains = {"y": Reals(n_features)} | ({} if n_inputs is None else {"x": Reals(n_inputs)})
        super().__init__(**domains)
        self.confinement, self.center = confinement, center
        self.network = mlp(n_features + (n_inputs or 0), *hidden, 1, generator=generator)

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        value = self.network(y if x is None else torch.cat([x, y], dim=1))[:, 0]
        if self.confinement is None:
            return value
        return value + 0.5 * (y - self.center).square().sum(dim=1) / self.confinement**2

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Without a hidden layer f(y) = w·y + b, and the minimum is at μ − s² w, s² ‖w‖² / 2 below f(μ)."""
        energy = cls(2, hidden=(), confinement=0.5, center=1.0)
        matrix, bias = (parameter.detach() for parameter in energy.network.parameters())
        weight = matrix[0]
        minimiser = (1.0 - 0.25 * weight)[None]
        return ReferenceCase(energy, {}, "y", weight.sum() + bias - 0.125 * weight.square().sum(), minimiser)
