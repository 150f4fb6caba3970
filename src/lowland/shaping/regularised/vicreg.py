"""Variance, invariance and covariance (system J7): embeddings must vary in every dimension."""

from __future__ import annotations

from torch import Tensor

from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.joint import JointShaping, Views, jitter


@register("shaping")
class VICReg(JointShaping):
    """L = λ mean ‖a − b‖² / D + ½ μ (v(a) + v(b)) + ν (c(a) + c(b)).

    v(a) = mean over d of [1 − √(Var a_d + ε)]⁺, c(a) = Σ_{d ≠ e} Cov(a)_{de}² / D, variances with N − 1. Bardes, Ponce
    & LeCun 2022, equations 1 to 6; the ½ and the division of the distance by D are not in the paper but in its code.
    See `JointShaping` for the arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        invariance, variance, covariance: λ, μ, ν.
        epsilon: ε.

    >>> case = VICReg.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self,
        views: Views | None = None,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        epsilon: float = 1e-4,
        seed: int = 0,
        alarm: int = 100,
    ) -> None:
        super().__init__(views, seed, alarm)
        self.invariance, self.variance, self.covariance, self.epsilon = invariance, variance, covariance, epsilon

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        near = (a - b).square().mean()
        wide, apart = near.new_zeros(()), near.new_zeros(())
        for part in (a, b):
            narrow, tied = variance_covariance(part - part.mean(dim=0), self.epsilon)
            wide, apart = wide + narrow / 2, apart + tied
        loss = self.invariance * near + self.variance * wide + self.covariance * apart
        metrics = {"invariance": near.detach(), "variance": wide.detach(), "covariance": apart.detach()}
        return loss, metrics

    def deviation(self, a: Tensor) -> Tensor:
        return a.std(dim=0).mean()

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter))


def variance_covariance(centred: Tensor, epsilon: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Terms v = mean over d of [1 − √(Var_d + ε)]⁺ and c = Σ_{d ≠ e} Cov_{de}² / D of centred embeddings (N, D).

    >>> import torch
    >>> variance_covariance(torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]))
    (tensor(0.), tensor(0.))
    """
    covariance = centred.T @ centred / (len(centred) - 1)
    narrow = (1 - (covariance.diagonal() + epsilon).sqrt()).clamp_min(0).mean()
    return narrow, (covariance.square().sum() - covariance.diagonal().square().sum()) / centred.shape[1]
