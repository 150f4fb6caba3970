"""A stop-gradient (system J7): each view predicts the embedding of the other, taken as a constant."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.joint import TowardsTarget, Views, jitter


@register("shaping")
class SimSiam(TowardsTarget):
    """L = ½ ℓ(p(a), b) + ½ ℓ(p(b), a), ℓ(q, k) = −mean_i cos(q_i, k_i), k behind a stop-gradient.

    Chen & He 2021, equations 1 to 4: q the prediction from the embedding of one view, k the embedding of the other by
    the same network. See `JointShaping` for the arguments.

    Energies: `JointEmbedding` with a predictor.

    >>> case = SimSiam.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(self, views: Views | None = None, seed: int = 0, alarm: int = 100) -> None:
        super().__init__(views, None, seed, alarm)

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return -functional.cosine_similarity(a, b).mean() / 2, {}

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter), predictor=(16,))
