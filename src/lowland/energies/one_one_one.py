"""The 1-1-1 network of the talks (system O1): the loss of two weights, as an energy of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.registry import register


@register("energy")
class OneOneOne(Energy):
    """L(w) = (1 − w₁ w₂)², y = (w₁, w₂): one input, one hidden, one output unit learn the identity.

    Two valleys of solutions, the branches of w₁ w₂ = 1, with a saddle of height 1 at the origin between them. Source:
    LeCun, "The Deep Learning – Applied Math Connection" (2020), slides on the landscape of multi-layer networks.

    >>> OneOneOne()(y=torch.tensor([[0.0, 0.0], [2.0, 0.5], [-1.0, -1.0]]))
    tensor([1., 0., 0.])
    """

    def __init__(self) -> None:
        super().__init__(y=Reals(2))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return (1 - y[:, 0] * y[:, 1]).square()

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Off the saddle, descent ends in a valley, where L = 0."""
        return ReferenceCase(cls(), {}, "y", minimum=torch.zeros(1), start=torch.tensor([[0.5, 1.0]]))
