"""Pairs with a margin (system J1): matching pairs are pulled together, others pushed beyond a margin."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import OptionError, ShapeError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.joint import JointShaping, Views, jitter
from lowland.shaping.processes import gathered


@register("shaping")
class DrLIM(JointShaping):
    """L = ½ mean_i D(a_i, b_i)² + ½ mean over the negatives (i, j) of ([m − D(a_i, b_j)]⁺)², D Euclidean.

    Hadsell, Chopra & LeCun 2006, equation 4 (there a sum over given pairs), on the projector's output. Positives are
    the two views of a sample, or a pair (x, y) of the data. Negatives are a_i with the nearest b_j in the batch (hard
    negatives), among all other samples or, if identities are known, those of other identities. See `JointShaping` for
    the arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        margin: m > 0, in units of D.
        hardest: number of negatives per sample, nearest first; None takes all, as in the paper.
        identities: (n,) int64, the identity of each sample of the data set, in its order.

    Raises:
        ShapeError: if a batch has no indices into `identities`, or they are out of range.

    >>> case = DrLIM.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    identities: Tensor | None

    def __init__(
        self,
        views: Views | None = None,
        margin: float = 1.0,
        hardest: int | None = 1,
        identities: Tensor | None = None,
        seed: int = 0,
        alarm: int = 100,
    ) -> None:
        super().__init__(views, seed, alarm)
        if not margin > 0 or (hardest is not None and hardest < 1):
            raise OptionError(f"margin must be positive and hardest at least 1, not {margin} and {hardest}.")
        self.margin, self.hardest = margin, hardest
        self.register_buffer("identities", identities, persistent=False)

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        embedded = self.checked(energy).embed(torch.cat(self.pair(batch)))
        a, b = (gathered(half) for half in embedded.chunk(2))
        who = torch.arange(len(a), device=a.device)
        if self.identities is not None:
            if batch.index is None or int(batch.index.max()) >= len(self.identities):
                raise ShapeError(
                    f"DrLIM has identities of {len(self.identities)} samples, but the batch does not say which of "
                    "them its samples are: give the identity of every sample of the data set, in its order."
                )
            who = self.identities[gathered(batch.index)]
        loss, metrics = self.precise(a, b, who)
        return Losses({"energy": loss}, metrics | self.watch(a))

    def loss(self, a: Tensor, b: Tensor, who: Tensor) -> tuple[Tensor, dict[str, Tensor]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """L and metrics; samples with different numbers in `who` (N,) may be negatives of each other."""
        far = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")  # exact, and no (N, N, D) in memory
        far = far.masked_fill(who[:, None] == who[None], torch.inf)
        if self.hardest is not None:
            far = far.topk(min(self.hardest, len(a) - 1), dim=1, largest=False).values
        negative = (self.margin - far).clamp_min(0).square().sum() / far.isfinite().sum().clamp_min(1)
        positive = (a - b).square().sum(dim=1).mean()
        return (positive + negative) / 2, {"positive": positive.detach(), "negative": negative.detach()}

    def deviation(self, a: Tensor) -> Tensor:
        # Relative to two points at distance m.
        return a.std(dim=0).mean() * (2 * a.shape[1]) ** 0.5 / self.margin

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter))
