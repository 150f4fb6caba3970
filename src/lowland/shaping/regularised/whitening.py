"""Whitening (system J7): embeddings are whitened before they are compared, so they cannot collapse to one point."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import TrainingError
from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.joint import JointShaping, Views, jitter


@register("shaping")
class WMSE(JointShaping):
    """L = mean_i ‖u_i / ‖u_i‖ − v_i / ‖v_i‖‖², u = W_a (a − mean a), v likewise from b, WᵀW = Σ⁻¹.

    Ermolov, Siarohin, Sangineto & Sebe 2021, equations 4 to 6 and the cosine form of the distance: Σ is the covariance
    over the batch, separately for each view, with N − 1, and W the inverse of its Cholesky factor. The paper whitens
    parts of 2 D samples; here the whole batch is one part. See `JointShaping` for the arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        epsilon: Σ is (1 − ε) Σ + ε I, so that it can be inverted.

    Raises:
        ShapeError: for a batch of fewer than 2 D samples, the paper's minimum for estimating the covariance.
        TrainingError: for embeddings that cannot be whitened: they are not finite, or fill fewer than D dimensions.

    >>> case = WMSE.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(self, views: Views | None = None, epsilon: float = 1e-4, seed: int = 0, alarm: int = 100) -> None:
        super().__init__(views, seed, alarm)
        self.epsilon = epsilon

    def needed(self, size: int) -> int:
        return 2 * size

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        self.enough(len(a), self.needed(a.shape[1]))
        u, v = (functional.normalize(self.white(part), dim=1) for part in (a, b))
        loss = (u - v).square().sum(dim=1).mean()
        return loss, {"cosine": 1 - loss.detach() / 2}

    def deviation(self, a: Tensor) -> Tensor:
        return super().deviation(a - a.mean(dim=0))  # the loss ignores the mean

    def white(self, part: Tensor) -> Tensor:
        """W (a − mean a), (N, D), with mean 0 and covariance I."""
        centred = part - part.mean(dim=0)
        covariance = centred.T @ centred / (len(part) - 1)
        eye = torch.eye(part.shape[1], dtype=part.dtype, device=part.device)
        factor, failed = torch.linalg.cholesky_ex((1 - self.epsilon) * covariance + self.epsilon * eye)
        if bool(failed):
            raise TrainingError(
                f"WMSE cannot whiten the embeddings at step {int(self.step)}: they are not finite, or fill fewer than "
                f"{part.shape[1]} dimensions. Lower lr, raise epsilon, or make the embedding smaller."
            )
        return torch.linalg.solve_triangular(factor, centred.T, upper=False).T

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter))
