"""Collapse of a joint embedding: how many directions embeddings use, and the alarm that ends a training without any."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import CollapseError

_FEW = 8
_NARROW = 0.03
_FLAT = 1.2


def effective_rank(a_ND: Tensor) -> Tensor:
    """exp(−Σ_k p_k log p_k), p_k = σ_k / Σ σ, of the singular values of the centred embeddings, in [1, min(N, D)].

    Roy & Vetterli 2007; RankMe (Garrido et al. 2023, equations 1 and 2) is the same without centring. How many
    directions of the embedding are in use; 1 where there is none.

    >>> round(float(effective_rank(torch.cat([torch.eye(3), -torch.eye(3)]))), 4)
    3.0
    """
    a_ND = a_ND.detach().double()
    sigma = torch.linalg.svdvals(a_ND - a_ND.mean(dim=0))
    share = sigma / sigma.sum().clamp_min(torch.finfo(torch.float64).tiny)
    return torch.special.entr(share).sum().exp()


def check_collapse(a_ND: Tensor, deviation: float, start: float, method: str, step: int) -> None:
    """Raise a CollapseError where the embeddings of a batch have become one point, or one line.

    One point: their deviation, as a share of what the method aims at, is below 0.03 and less than half of what it was
    at the start. One line: their effective rank is below 1.2. A batch of fewer than 8 samples, or of embeddings that
    are not finite, is not judged.

    Args:
        a_ND: embeddings of a batch.
        deviation, start: of this batch and of the first, see `JointShaping.deviation`.
        method, step: for the message.
    """
    if min(a_ND.shape) < _FEW or not bool(torch.isfinite(a_ND).all()):
        return
    rank = float(effective_rank(a_ND))
    if (deviation < _NARROW and deviation < start / 2) or rank < _FLAT:
        raise CollapseError(
            f"The embeddings collapsed: at step {step} of {method} those of {len(a_ND)} samples deviate from their "
            f"mean by {deviation:.2g} of what they should (at the start {start:.2g}), in {rank:.1f} of {a_ND.shape[1]} "
            "directions; strengthen the term that keeps them apart, lower lr, or pass alarm=0 to go on all the same."
        )
