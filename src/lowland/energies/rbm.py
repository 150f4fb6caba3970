"""The restricted Boltzmann machine (system C2)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Binary
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.registry import register
from lowland.tensors import soft_minimum


@register("energy")
class RBM(Energy):
    """E(y, z) = −b·y − c·z − yᵀ W z, with y and z binary (Smolensky 1986; Hinton 2002).

    With the uniform prior over z, F_β(y) = −b·y − 1/β Σ_j [softplus(β a_j) − log 2], a = c + Wᵀ y. The usual free
    energy is F_1 − m log 2 for m hidden units. F is also defined for grey y in [0, 1], which shapings take as
    probabilities of a binary y.

    Args:
        n_visible, n_hidden: sizes of y and z.
        scale: standard deviation of the initial weights (0.01 in Hinton, "A practical guide to training RBMs", 2010).
        generator: draws the initial weights.

    >>> RBM(4, 3)(y=torch.ones(2, 4), z=torch.zeros(2, 3)).detach()
    tensor([-0., -0.])
    """

    def __init__(
        self, n_visible: int, n_hidden: int, scale: float = 0.01, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(y=Binary(n_visible), z=Binary(n_hidden))
        generator = generator or torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(scale * torch.randn(n_visible, n_hidden, generator=generator))
        self.visible_bias = nn.Parameter(torch.zeros(n_visible))
        self.hidden_bias = nn.Parameter(torch.zeros(n_hidden))

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        y = y.to(self.weight.dtype)
        return -(y @ self.visible_bias) - ((y @ self.weight + self.hidden_bias) * z).sum(dim=1)

    def marginal(self, x: Any, y: Tensor, beta: float) -> Tensor:
        y = y.to(self.weight.dtype)
        drive = y @ self.weight + self.hidden_bias
        both = torch.stack([torch.zeros_like(drive), -drive], dim=-1)
        return -(y @ self.visible_bias) + soft_minimum(both, beta).sum(dim=1)

    def log_partition(self, x: Any) -> Tensor | None:
        """Log Σ_y exp(−F_1(y)), by enumeration of the smaller layer; None where both have more than 16 units."""
        visible, hidden = self.weight.shape
        binary = self.domains["y"] if visible <= hidden else self.domains["z"]
        if binary.cardinality is None:
            return None
        states = binary.elements(self.weight.dtype, self.weight.device)
        if visible <= hidden:
            return torch.logsumexp(-self.marginal(None, states, 1.0), dim=0)
        rest = functional.softplus(states @ self.weight.T + self.visible_bias).sum(dim=1)
        return torch.logsumexp(states @ self.hidden_bias + rest, dim=0) - hidden * math.log(2)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        """Units of one layer are independent given the other, so a layer is a block and has an exact minimiser."""
        visible, hidden = self.weight.shape
        units = torch.arange(visible + hidden, device=self.weight.device)
        if over == ("y", "z"):
            return Structure(blocks=(units[:visible], units[visible:]))
        if over == ("z",):
            drive = y.to(self.weight.dtype) @ self.weight + self.hidden_bias
            return Structure(blocks=(units[:hidden],), minimiser=lambda: (drive > 0).to(drive.dtype))
        drive = z.to(self.weight.dtype) @ self.weight.T + self.visible_bias
        return Structure(blocks=(units[:visible],), minimiser=lambda: (drive > 0).to(drive.dtype))

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """p(y = 1 | z) = sigmoid(b + W z), (B, n_visible)."""
        return torch.sigmoid(z.to(self.weight.dtype) @ self.weight.T + self.visible_bias)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """One visible unit switches one hidden unit on and the other off."""
        energy = cls(1, 2)
        energy.weight.data = torch.tensor([[3.0, -3.0]])
        energy.hidden_bias.data = torch.tensor([-1.0, 1.0])
        y = torch.tensor([[1.0], [0.0]])
        minimiser = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.tensor([-2.0, -1.0]), minimiser=minimiser)
