"""Sketched isotropic Gaussian regularisation (system J7): embeddings whose projections are all normal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.joint import JointShaping, Views, jitter


@register("shaping")
class SIGReg(JointShaping):
    """L = (1 − λ) mean (z − μ)² + λ mean over views of T, the LeJEPA loss for two global views.

    z are the projected embeddings of both views, μ_i = (a_i + b_i) / 2 the mean over the views of sample i, and the
    first mean is over views, samples and dimensions. T is the Epps-Pulley statistic of each view, averaged over random
    unit directions u, which are drawn anew at each step and shared by both views:

    T = N ∫ w(t) |mean_i e^{i t uᵀz_i} − e^{−t²/2}|² dt,   w(t) = e^{−t²/2},

    by the trapezoid rule on [0, `reach`], doubled. Balestriero & LeCun 2025 (arXiv 2511.08544): the convex combination
    by λ, with all views global and no local ones, as in the authors' minimal example; λ is 0.05 in the paper and 0.02
    in the example. T grows with the number of samples N, as in the paper. See `JointShaping` for the arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        weight: λ in [0, 1].
        directions: number of directions; 1,024 in the paper and 256 in the example.
        knots: number of knots of the trapezoid rule; 17 in both.
        reach: largest t; 5 in the paper and 3 in the example.

    >>> case = SIGReg.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self,
        views: Views | None = None,
        weight: float = 0.05,
        directions: int = 256,
        knots: int = 17,
        reach: float = 3.0,
        seed: int = 0,
        alarm: int = 100,
    ) -> None:
        super().__init__(views, seed, alarm)
        if not 0 <= weight <= 1 or directions < 1 or knots < 2 or not reach > 0:
            raise OptionError(
                "SIGReg needs a weight in [0, 1], at least 1 direction and 2 knots, and a positive reach, not "
                f"{weight}, {directions}, {knots} and {reach}."
            )
        self.weight, self.directions, self.knots, self.reach = weight, directions, knots, reach

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        drawn = torch.randn(a.shape[1], self.directions, generator=self.generator(), dtype=torch.float32)
        unit = functional.normalize(drawn.to(a), dim=0)
        near = (a - b).square().mean() / 4  # mean over both views of the squared distance from their mean
        gauss = torch.stack([self.statistic(part @ unit).mean() for part in (a, b)]).mean()
        loss = (1 - self.weight) * near + self.weight * gauss
        return loss, {"invariance": near.detach(), "sigreg": gauss.detach()}

    def statistic(self, s_NM: Tensor) -> Tensor:
        """T of each column of projections (N, M), (M,)."""
        t = torch.linspace(0, self.reach, self.knots, dtype=s_NM.dtype, device=s_NM.device)
        normal = torch.exp(-t.square() / 2)
        turned = s_NM[..., None] * t
        gap = (turned.cos().mean(dim=0) - normal).square() + turned.sin().mean(dim=0).square()
        return 2 * len(s_NM) * torch.trapezoid(gap * normal, t, dim=1)

    def deviation(self, a: Tensor) -> Tensor:
        return a.std(dim=0).mean()

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter))
