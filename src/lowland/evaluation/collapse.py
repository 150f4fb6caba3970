"""Signs of collapse: codes that use few dimensions, a codebook with few entries in use, a flat energy."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.base import Energy, squared_distance
from lowland.errors import DomainError, ShapeError
from lowland.inference import infer
from lowland.shaping.collapse import as_matrix, entropy_rank
from lowland.solvers.base import Solver


def rankme(codes: Tensor) -> float:
    """exp(−Σ p log p) with p = σ/Σσ + 10⁻⁷ and σ the singular values of the codes, not centred.

    Source: Garrido, Balestriero, Najman & LeCun, "RankMe" (2023). A constant code has rank 1 here, and 0 in
    `effective_rank`, which is centred.

    >>> round(rankme(torch.ones(8, 4)), 2)
    1.0
    """
    return entropy_rank(torch.linalg.svdvals(as_matrix(codes)), 1e-7)


def codebook_perplexity(codes: Tensor, size: int | None = None) -> float:
    """exp(−Σ p log p) with p the share of samples that use each word: from 1 (one word) to K (all equally).

    Args:
        codes: (N, ...) of word indices, or (N, ..., K) one-hot (then floating-point).
        size: K, needed only to detect an index outside the codebook.

    >>> codebook_perplexity(torch.tensor([0, 0, 3, 3]))
    2.0
    """
    if codes.is_floating_point():
        if codes.ndim < 2:
            raise ShapeError(f"One-hot codes must have shape (N, ..., K), but it is {tuple(codes.shape)}.")
        codes = codes.argmax(dim=-1)
    if not codes.numel():
        raise ShapeError("The perplexity of a codebook needs at least one code.")
    if int(codes.min()) < 0 or (size is not None and int(codes.max()) >= size):
        raise DomainError(f"Word indices must be at least 0{'' if size is None else f' and below {size}'}.")
    share = torch.bincount(codes.flatten()).double() / codes.numel()
    return round(float(torch.exp(-torch.xlogy(share, share).sum())), 12)


def energy_spread(energies: Tensor) -> float:
    """(Q95 − Q5) / (|Q50| + Q95 − Q5) of the energies of random inputs, in [0, 1): 0 is a collapsed, flat energy.

    Args:
        energies: (N,), for instance `scores(energy, uniform_box(...))`. Non-finite ones are ignored.

    >>> energy_spread(torch.ones(10))
    0.0
    """
    finite = energies.detach().double()[torch.isfinite(energies)]
    if not len(finite):
        raise DomainError("No energy is finite, so they have no spread.")
    low, middle, high = torch.quantile(finite, torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64))
    width = high - low
    return float(width / (middle.abs() + width)) if width > 0 else 0.0


def reconstruction_error(energy: Energy, y: Tensor, solver: Solver | None = None) -> float | None:
    """Mean of (ŷ − y)² over samples and coordinates, in squared units of y, with ŷ decoded from ẑ = argmin_z E(y, z).

    None if the energy does not reconstruct. A low value alone is no good sign: an energy that reconstructs everything
    is flat.

    >>> import lowland as ll
    >>> error = reconstruction_error(ll.energies.Ellipse(radii=(2.0, 1.0)), torch.tensor([[3.0, 0.0]]))
    >>> round(error, 3)
    0.5
    """
    with torch.no_grad():
        z = infer(energy, y=y, over="z", solver=solver).value if "z" in energy.domains else None
        decoded = energy.reconstruct(None, y, z)
    if decoded is None:
        return None
    return float(squared_distance(decoded, y).mean() / y[0].numel())
