"""Collapse of a joint embedding: how far embeddings spread, and the alarm that ends a training in which they do not."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import CollapseError

_FEW = 8
_NARROW = 0.02
_FLAT = 1.2


def spread(a_ND: Tensor) -> Tensor:
    """√(Σ_d Var a_d / mean ‖a‖²) in [0, 1]: 0 where all embeddings are one point, 1 where their mean is the origin.

    >>> float(spread(torch.ones(4, 3))), float(spread(torch.eye(4) - 0.25))
    (0.0, 1.0)
    """
    a_ND = a_ND.detach().double()
    centred = a_ND - a_ND.mean(dim=0)
    return (centred.square().sum() / a_ND.square().sum().clamp_min(torch.finfo(torch.float64).tiny)).sqrt()


def effective_rank(a_ND: Tensor) -> Tensor:
    """exp(−Σ_k p_k log p_k), p_k = σ_k / Σ σ, of the singular values of the centred embeddings, in [1, min(N, D)].

    Roy & Vetterli 2007; RankMe (Garrido et al. 2023, equations 1 and 2) without centring. How many directions of the
    embedding are in use; 1 where there is none.

    >>> round(float(effective_rank(torch.cat([torch.eye(3), -torch.eye(3)]))), 4)
    3.0
    """
    a_ND = a_ND.detach().double()
    sigma = torch.linalg.svdvals(a_ND - a_ND.mean(dim=0))
    share = sigma / sigma.sum().clamp_min(torch.finfo(torch.float64).tiny)
    return torch.special.entr(share).sum().exp()


def check_collapse(a_ND: Tensor, method: str, step: int) -> None:
    """Raise a CollapseError where the embeddings of a batch have become one point, or one line.

    Fewer than 8 samples are not judged. The limits, a spread of 0.02 and an effective rank of 1.2, are far below what
    any method gives from its first step on, and far above what is left after a few hundred steps without a term that
    keeps embeddings apart.
    """
    if len(a_ND) < _FEW or not bool(torch.isfinite(a_ND).all()):
        return
    wide, rank = float(spread(a_ND)), float(effective_rank(a_ND))
    if wide < _NARROW or (rank < _FLAT and a_ND.shape[1] > 2):
        raise CollapseError(
            f"The embeddings collapsed: at step {step} of {method} those of a batch of {len(a_ND)} differ by "
            f"{wide:.2g} of their length, in {rank:.1f} of {a_ND.shape[1]} directions, so that they tell samples no "
            "longer apart; raise the weight of the term that keeps them apart, or lower lr."
        )
