"""Collapse of joint embeddings: how many directions embeddings use, and the check that stops collapsed training."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import CollapseError, DomainError, ShapeError

_FEW = 8
_NARROW = 0.03
_FLAT = 1.2


def entropy_rank(values: Tensor, epsilon: float) -> float:
    """Exp(−Σ p log p) with p = values / Σ values + ε, of singular values (D,); 0 where all are 0."""
    total = values.sum()
    if not total > 0:
        return 0.0
    share = values / total + epsilon
    return float(torch.exp(-(share * torch.where(share > 0, share, torch.ones_like(share)).log()).sum()))


def as_matrix(codes: Tensor) -> Tensor:
    """Codes (N, ...) as (N, D) in float64; an error for NaN, infinity or no codes."""
    if codes.ndim < 2 or not codes.shape[0]:
        raise ShapeError(f"Codes must have shape (N, ...), but it is {tuple(codes.shape)}.")
    flat = codes.detach().double().flatten(1)
    if not bool(torch.isfinite(flat).all()):
        raise DomainError("The codes contain NaN or infinity: their rank is not defined.")
    return flat


def effective_rank(codes: Tensor) -> float:
    """exp(−Σ p log p) with p the singular values of the centred codes over their sum: from 1 to min(N − 1, D).

    Source: Roy & Vetterli, "The effective rank" (2007). Codes that are all the same have rank 0.

    Args:
        codes: (N, ...), flattened to (N, D).

    >>> round(effective_rank(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 4)
    2.0
    """
    flat = as_matrix(codes)
    centred = flat - flat.mean(dim=0)
    values = torch.linalg.svdvals(centred)
    # Rounding: of the singular values, and of the codes in their own precision.
    own = torch.finfo(codes.dtype).eps if codes.is_floating_point() else 0.0
    tiny = max(torch.finfo(flat.dtype).eps * max(flat.shape), own) * flat.norm()
    return entropy_rank(torch.where(values > tiny, values, torch.zeros_like(values)), 0.0)


def check_collapse(a_ND: Tensor, deviation: float, start: float, method: str, step: int) -> None:
    """Raise a CollapseError if the embeddings of a batch have become one point or one line.

    One point: their standard deviation, relative to the method's target, is below 0.03 and less than half of its value
    at the start. One line: their effective rank is below 1.2. A batch of fewer than 8 samples, or with non-finite
    embeddings, is not checked.

    Args:
        a_ND: embeddings of a batch.
        deviation, start: of this batch and of the first, see `JointShaping.deviation`.
        method, step: for the message.
    """
    if min(a_ND.shape) < _FEW or not bool(torch.isfinite(a_ND).all()):
        return
    rank = effective_rank(a_ND)
    if (deviation < _NARROW and deviation < start / 2) or rank < _FLAT:
        raise CollapseError(
            f"The embeddings collapsed: at step {step} of {method} those of {len(a_ND)} samples deviate from their "
            f"mean by {deviation:.2g} of what they should (at the start {start:.2g}), in {rank:.1f} of {a_ND.shape[1]} "
            "directions; strengthen the term against collapse, lower the learning rate, or pass alarm=0 to continue."
        )
