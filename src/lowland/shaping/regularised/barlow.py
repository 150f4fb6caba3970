"""Redundancy reduction (system J7): each dimension correlates with itself in the other view, and with no other."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.joint import JointShaping, Views, jitter


@register("shaping")
class BarlowTwins(JointShaping):
    """L = Σ_d (1 − C_dd)² + λ Σ_{d ≠ e} C_de², C_de the correlation of a_d with b_e over the batch.

    Zbontar, Jing, Misra, LeCun & Deny 2021, equations 1 and 2: C = Σ_i a_id b_ie / (√Σ_i a_id² √Σ_i b_ie²) of the
    embeddings, centred over the batch. See `JointShaping` for the arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        redundancy: λ; 0.005 in the paper.

    >>> case = BarlowTwins.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(self, views: Views | None = None, redundancy: float = 0.005, seed: int = 0, alarm: int = 100) -> None:
        super().__init__(views, seed, alarm)
        self.redundancy = redundancy

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        a, b = (torch.nn.functional.normalize(part - part.mean(dim=0), dim=0) for part in (a, b))
        correlation = a.T @ b
        own = correlation.diagonal()
        same = (1 - own).square().sum()
        apart = correlation.square().sum() - own.square().sum()
        return same + self.redundancy * apart, {"same": same.detach(), "redundancy": apart.detach()}

    def deviation(self, a: Tensor) -> Tensor:
        return super().deviation(a - a.mean(dim=0))  # the loss ignores the mean

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter))
