"""LISTA (systems S3, S4): the graph of ISTA as an encoder of sparse codes, with its matrices and thresholds learned.

Legend: B samples, n features, m atoms.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from lowland.errors import OptionError, ShapeError


def check_dictionary(dictionary: Tensor, sparsity: float, steps: int, name: str) -> None:
    """Raise an error that names what is wrong, for the constructors of encoders."""
    if dictionary.ndim != 2 or not bool(torch.isfinite(dictionary).all()):
        raise ShapeError(
            f"A dictionary must be a finite matrix with one atom in each column, not {tuple(dictionary.shape)}."
        )
    empty = (dictionary.norm(dim=0) == 0).nonzero()[:, 0].tolist()
    if empty:
        raise OptionError(f"Atom {empty[0]} of the dictionary is zero ({len(empty)} such): draw it anew from the data.")
    if not sparsity > 0:
        raise OptionError(f"sparsity must be positive, but it is {sparsity}.")
    if steps < 0 or int(steps) != steps:
        raise OptionError(f"{name} must be a whole number of at least 0, but it is {steps}.")


class _Shrink(torch.autograd.Function):
    """sign(u) [|u| − θ]⁺ with the derivative read off the answer: three operations instead of a dozen."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, threshold: Tensor) -> Tensor:
        return u - torch.maximum(torch.minimum(u, threshold), -threshold)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (output,) = ctx.saved_tensors
        sign = output.sign()
        return grads[0] * (output != 0), -(grads[0] * sign).sum(dim=0)


def shrink(u: Tensor, threshold: Tensor, positive: bool = False) -> Tensor:
    """sign(u) [|u| − θ]⁺ for u (B, m) and θ (m,), or [u − θ]⁺ for positive codes; a learned θ below 0 counts as 0.

    >>> shrink(torch.tensor([[-2.0, 0.5, 3.0]]), torch.ones(3))
    tensor([[-1.,  0.,  2.]])
    """
    threshold = threshold.clamp_min(0)
    return (u - threshold).clamp_min(0) if positive else cast(Tensor, _Shrink.apply(u, threshold))


def _largest(matrix: Tensor, share: float) -> Tensor:
    """1 at the diagonal and at the largest other entries, 0 elsewhere, so many that they are this share of all."""
    size = matrix.abs().fill_diagonal_(torch.inf).flatten()
    count = max(len(matrix), math.ceil(share * len(size)))
    return torch.zeros_like(size).scatter_(0, size.topk(count).indices, 1).reshape(matrix.shape)


class LISTA(nn.Module):
    """z₁ = shrink_θ(W_e y), z_{k+1} = shrink_θ(W_e y + S z_k): K shrinkages of ISTA with W_e, S and θ learned.

    Source: Gregor & LeCun, "Learning fast approximations of sparse coding" (2010). Before training it is ISTA from
    z = 0 with W_e = Wᵀ/L, S = I − WᵀW/L and θ = λ/L, where L is the largest eigenvalue of WᵀW. Train it with
    `ll.shaping.CodePrediction`. With one shrinkage it is a linear map and a shrinkage.

    Args:
        dictionary: W (n, m), with one atom in each column.
        sparsity: λ > 0, in units of y.
        shrinkages: K ≥ 1.
        tied: one S and one θ for all steps; otherwise each step has its own, at the same number of multiplications.
        positive: codes z ≥ 0.
        kept: share of the entries of S that stay, the largest ones of ISTA; the others are 0 (partial mutual
            inhibition). The diagonal of S is among the kept.
        rank: S = I − A B with A and Bᵀ (m, rank), at first the best such approximation; None for a full S.
        filters: first W_e (m, n); None for that of ISTA, whose steps are small, 1/L. Training may get further from the
            W_e and θ that an encoder with one shrinkage has learned.
        thresholds: first θ (m,); None for that of ISTA.
        relaxation: ρ in (0, 1] of the first S = I − ρ W_e W. ISTA has 1; for learned filters 0.3 to 0.5 is stable.

    Raises:
        OptionError: for λ ≤ 0, K < 1, an atom of zero norm, a share or relaxation outside (0, 1], a rank outside
            1 … m, or both a share and a rank.
        ShapeError: if the dictionary is no matrix or not finite, or the filters or thresholds do not fit it.

    >>> encoder = LISTA(torch.eye(3), sparsity=0.5, shrinkages=2)
    >>> encoder(torch.tensor([[2.0, 0.3, -1.0]])).detach()
    tensor([[ 1.5000,  0.0000, -0.5000]])
    >>> encoder.multiplications
    18
    """

    mask: Tensor | None

    def __init__(
        self,
        dictionary: Tensor,
        sparsity: float,
        shrinkages: int = 2,
        tied: bool = True,
        positive: bool = False,
        kept: float = 1.0,
        rank: int | None = None,
        filters: Tensor | None = None,
        thresholds: Tensor | None = None,
        relaxation: float = 1.0,
    ) -> None:
        super().__init__()
        check_dictionary(dictionary, sparsity, shrinkages, "shrinkages")
        atoms = dictionary.shape[1]
        if shrinkages < 1 or not 0 < kept <= 1 or (rank is not None and not 1 <= rank <= atoms):
            raise OptionError(
                f"LISTA needs shrinkages of at least 1, kept in (0, 1] and a rank from 1 to {atoms}, not {shrinkages}, "
                f"{kept} and {rank}."
            )
        if kept < 1 and rank is not None:
            raise OptionError("S is either sparse or of low rank: give kept or rank, not both.")
        self.shrinkages, self.tied, self.positive, self.kept, self.rank = shrinkages, tied, positive, kept, rank
        if not 0 < relaxation <= 1:
            raise OptionError(f"relaxation must be in (0, 1], but it is {relaxation}.")
        dictionary = dictionary.detach()
        bound = torch.linalg.eigvalsh(dictionary.T @ dictionary)[-1]
        filters = dictionary.T / bound if filters is None else filters.detach()
        thresholds = torch.full_like(dictionary[0], sparsity) / bound if thresholds is None else thresholds.detach()
        if filters.shape != dictionary.T.shape or thresholds.shape != dictionary[0].shape:
            raise ShapeError(
                f"For a dictionary {tuple(dictionary.shape)} filters must be {tuple(dictionary.T.shape)} and "
                f"thresholds ({atoms},), not {tuple(filters.shape)} and {tuple(thresholds.shape)}."
            )
        self.filters = nn.Parameter(filters.clone())
        copies = 1 if tied else shrinkages
        self.thresholds = nn.ParameterList(thresholds.clone() for _ in range(copies))
        self.register_buffer("mask", None)
        # Rows of z are multiplied by it from the left, hence the transpose. It has the rank of the dictionary at most,
        # so that of a low-rank S the part that is not the identity is approximated.
        inhibited = relaxation * (filters @ dictionary).T
        first = [torch.eye(atoms).to(inhibited) - inhibited]
        if rank is not None:
            left, values, right = torch.linalg.svd(inhibited)
            half = values[:rank].sqrt()
            first = [left[:, :rank] * half, half[:, None] * right[:rank]]
        elif kept < 1:
            self.mask = _largest(first[0], kept)
            first = [first[0] * self.mask]
        steps = min(copies, shrinkages - 1)
        self.inhibition = nn.ParameterList(factor.clone() for _ in range(steps) for factor in first)

    def forward(self, y: Tensor) -> Tensor:
        """The code (B, m) of y (B, n)."""
        drive = y @ self.filters.T
        z = shrink(drive, self.thresholds[0], self.positive)
        for step in range(1, self.shrinkages):
            threshold = self.thresholds[0 if self.tied else step]
            z = shrink(drive + self._inhibit(z, 0 if self.tied else step - 1), threshold, self.positive)
        return z

    def _inhibit(self, z: Tensor, step: int) -> Tensor:
        """S z of a step."""
        if self.rank is not None:
            first, second = self.inhibition[2 * step], self.inhibition[2 * step + 1]
            return z - (z @ first) @ second
        matrix = self.inhibition[step]
        return z @ (matrix if self.mask is None else matrix * self.mask)

    @torch.no_grad()
    def begin_with(self, shorter: LISTA) -> None:
        """Take over the weights of an encoder of the same kind with fewer shrinkages; its last S and θ serve again.

        Raises:
            OptionError: if the other has one shrinkage, and so no S, or an S of another kind.

        >>> longer = LISTA(torch.eye(2), 0.1, shrinkages=4, tied=False)
        >>> longer.begin_with(LISTA(torch.eye(2), 0.3, shrinkages=2))
        >>> longer.thresholds[3].tolist() == LISTA(torch.eye(2), 0.3).thresholds[0].tolist()
        True
        """
        factors = 1 if self.rank is None else 2
        if shorter.rank != self.rank or shorter.kept != self.kept or len(shorter.inhibition) < factors:
            raise OptionError(
                "LISTA can begin only with an encoder of at least 2 shrinkages and an S of the same kind."
            )
        self.filters.copy_(shorter.filters)
        for step, threshold in enumerate(self.thresholds):
            threshold.copy_(shorter.thresholds[min(step, len(shorter.thresholds) - 1)])
        if self.mask is not None and shorter.mask is not None:
            self.mask.copy_(shorter.mask)
        last = len(shorter.inhibition) - factors
        for place, factor in enumerate(self.inhibition):
            factor.copy_(shorter.inhibition[min(place, last + place % factors)])

    @property
    def multiplications(self) -> int:
        """Of one sample: W_e y once, and S z for each shrinkage but the first."""
        atoms, features = self.filters.shape
        if self.rank is not None:
            each = 2 * atoms * self.rank
        else:
            each = atoms**2 if self.mask is None else int(self.mask.sum())
        return atoms * features + (self.shrinkages - 1) * each
