"""In-batch negatives against a momentum encoder, with a predictor (system J2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.joint import TowardsTarget, Views, jitter


@register("shaping")
class MoCoV3(TowardsTarget):
    """L = ℓ(p(a), b′) + ℓ(p(b), a′), ℓ(q, k) = −2τ mean_i log e^{q̄_i·k̄_i/τ} / Σ_j e^{q̄_i·k̄_j/τ}.

    Chen, Xie & He 2021, equation 1 and algorithm 1: q̄ the normalised predictions of the embeddings of one view, k̄ the
    normalised embeddings of the other by the momentum encoder; the sum is over all N samples of the batch. See
    `JointShaping` for the arguments.

    Energies: `JointEmbedding` with a predictor.

    Args:
        temperature: τ > 0; 0.2 in the paper.
        momentum: of the target network; 0.99 in the paper, rising to 1.

    >>> case = MoCoV3.reference_case()
    >>> case.shaping.prepare(case.energy, case.batch)
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self,
        views: Views | None = None,
        temperature: float = 0.2,
        momentum: float = 0.99,
        seed: int = 0,
        alarm: int = 100,
    ) -> None:
        super().__init__(views, momentum, seed, alarm)
        if not temperature > 0:
            raise OptionError(f"The temperature must be positive, but it is {temperature}.")
        self.temperature = temperature

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        scores = functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).T / self.temperature
        own = torch.arange(len(a), device=a.device)
        first = (scores.detach().argmax(dim=1) == own).float().mean()
        return 2 * self.temperature * functional.cross_entropy(scores, own), {"first": first}

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter), predictor=(16,))
