"""In-batch negatives (system J2): a view is pushed away from the other samples of the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.joint import JointShaping, Views, jitter


class InBatch(JointShaping):
    """L = −mean of g(p_i) over all 2N views, p_i = e^{s(i, j)} / Σ_{k ≠ i} e^{s(i, k)}, j the other view, s = cos / τ.

    A subclass defines g. See `JointShaping` for the other arguments.

    Args:
        temperature: τ > 0.
    """

    def __init__(self, views: Views | None = None, temperature: float = 0.5, seed: int = 0, alarm: int = 100) -> None:
        super().__init__(views, seed, alarm)
        if not temperature > 0:
            raise OptionError(f"The temperature must be positive, but it is {temperature}.")
        self.temperature = temperature

    def gain(self, log_p: Tensor) -> Tensor:
        """g, (2N,), from log p, (2N,)."""
        raise NotImplementedError

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        both = functional.normalize(torch.cat([a, b]), dim=1)
        scores = both @ both.T / self.temperature
        scores = scores.masked_fill(torch.eye(len(both), dtype=torch.bool, device=both.device), -torch.inf)
        other = torch.arange(len(both), device=both.device).roll(len(a))
        log_p = -functional.cross_entropy(scores, other, reduction="none")
        return -self.gain(log_p).mean(), {"first": (scores.detach().argmax(dim=1) == other).float().mean()}


@register("shaping")
class SimCLR(InBatch):
    """L = −mean over all 2N views i of log e^{s(i, j)} / Σ_{k ≠ i} e^{s(i, k)}, j the other view, s = cos / τ.

    Chen, Kornblith, Norouzi & Hinton 2020, equation 1 (NT-Xent), on projected embeddings; −s is the cosine energy over
    τ, up to a constant, so this is the group loss of F. See `JointShaping` for the arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        temperature: τ > 0; 0.5 in the paper for CIFAR-10.

    >>> case = SimCLR.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def gain(self, log_p: Tensor) -> Tensor:
        return log_p

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter))
