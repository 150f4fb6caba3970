"""The Hopfield network: a memory of binary patterns.

Legend: B samples, N patterns, D units.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Binary
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import ShapeError
from lowland.registry import register


@register("energy")
class Hopfield(Energy):
    """E(y) = −1/(2 D) Σ_n [(x_n · s)² − D], s = 2 y − 1 and x_n of −1 and 1: low where y is a stored pattern.

    Hopfield 1982, with the weights of Hebb's rule, W = Xᵀ X / D without its diagonal. It recalls some 0.138 D random
    patterns, with few wrong units (Amit, Gutfreund & Sompolinsky 1985); beyond that, none. `Gibbs` at zero temperature
    is its dynamics: each unit in turn takes its better value.

    Args:
        patterns: (N, D) of 0 and 1.

    Raises:
        ShapeError: for patterns that are not (N, D), or not of 0 and 1.

    >>> import lowland as ll
    >>> energy = Hopfield(torch.tensor([[1.0, 0.0, 1.0, 0.0, 1.0]]))
    >>> start = torch.tensor([[1.0, 0.0, 1.0, 0.0, 0.0]])
    >>> ll.infer(energy, over="y", init=start, solver=ll.solvers.Gibbs(temperature=0.0, tol=0.0)).value
    tensor([[1., 0., 1., 0., 1.]])
    """

    signs: Tensor

    def __init__(self, patterns: Tensor) -> None:
        if patterns.ndim != 2 or not bool(((patterns == 0) | (patterns == 1)).all()):
            raise ShapeError(f"patterns must be (N, D) of 0 and 1, but they are {tuple(patterns.shape)}.")
        super().__init__(y=Binary(patterns.shape[1]))
        self.register_buffer("signs", 2 * patterns.detach() - 1)

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        size = self.signs.shape[1]
        sign = 2 * y.to(self.signs.dtype) - 1
        return -(sign @ self.signs.T).square().sub(size).sum(dim=1) / (2 * size)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """One pattern of four units: −½ (4 − 1) there, and at its opposite."""
        start = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
        energy = cls(torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
        return ReferenceCase(energy, {}, "y", minimum=torch.tensor([-1.5]), start=start)
