"""What a sequence falls short of the longest one: a reward for each token, since a beam likes short sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Tokens
from lowland.energies.base import Energy, ReferenceCase
from lowland.registry import register


@register("energy")
class Brevity(Energy):
    """E(y) = T − |y|, |y| the number of tokens of a sequence that may end before its T places.

    In a sum with −log p(y | x) its weight is the reward of a token (He et al., "Improved neural machine translation
    with SMT features", 2016): each further token costs something, so that the least −log p is often too short. It says
    nothing of single tokens, so that a beam proposes by the other terms and its list is ranked by the sum.

    Args:
        categories: K of the tokens.
        length: T.

    Raises:
        OptionError: for fewer than one category.

    A y that is outside of its domain has E = +∞.

    >>> Brevity(9, length=4)(y=torch.tensor([[3.0, 8.0, -1.0, -1.0]]))
    tensor([2.])
    """

    def __init__(self, categories: int, length: int) -> None:
        super().__init__(y=Tokens(categories, length, "end"))
        self.categories, self.length = categories, length

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        real = y if y.is_floating_point() else y.double()
        ended = (real < 0).cumsum(dim=1) > 0
        right = (real == real.round()) & (real >= -1) & (real < self.categories) & ((real < 0) | ~ended)
        total = torch.where(right.all(dim=1), ended.sum(dim=1).to(real.dtype), torch.inf)
        return total + (real - real).sum(dim=1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """The least is 0, of a sequence that fills all places."""
        return ReferenceCase(cls(1, 2), {}, "y", torch.zeros(1), torch.zeros(1, 2), torch.full((1, 2), -1.0))
