"""Bootstrapped targets (system J7): each view predicts the momentum encoder's embedding of the other."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.joint import TowardsTarget, Views, jitter


@register("shaping")
class BYOL(TowardsTarget):
    """L = ℓ(p(a), b′) + ℓ(p(b), a′), ℓ(q, k) = mean_i ‖q_i / ‖q_i‖ − k_i / ‖k_i‖‖².

    Grill et al. 2020, equations 1 and 2: q is the prediction from the embedding of one view, k the embedding of the
    other by the momentum encoder, without gradients. See `JointShaping` for the arguments.

    Energies: `JointEmbedding` with a predictor.

    Args:
        momentum: of the target network; 0.996 rising to 1 in the paper, for runs of 1,000 epochs of ImageNet; 0.99
            suits shorter ones.

    >>> case = BYOL.reference_case()
    >>> case.shaping.prepare(case.energy, case.batch)
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(self, views: Views | None = None, momentum: float = 0.99, seed: int = 0, alarm: int = 100) -> None:
        super().__init__(views, momentum, seed, alarm)

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        gap = functional.normalize(a, dim=1) - functional.normalize(b, dim=1)
        return gap.square().sum(dim=1).mean(), {}

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter), predictor=(16,))
