"""Learned coordinate descent (system S5): the graph of greedy coordinate descent as an encoder of sparse codes.

Legend: B samples, n features, m atoms.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lowland.errors import OptionError
from lowland.nn.lista import check_dictionary, shrink


class _Descent(torch.autograd.Function):
    """b after T steps, with a derivative that keeps three numbers of each step instead of all of b."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, inhibition: Tensor, threshold: Tensor, steps: int, positive: bool) -> Tensor:
        b, z, kept = drive.clone(), torch.zeros_like(drive), []
        for _ in range(steps):
            moved = shrink(b, threshold, positive)
            difference = moved - z
            k = difference.abs().argmax(dim=1, keepdim=True)
            change = difference.gather(1, k)
            b.addcmul_(change, inhibition[k[:, 0]])
            z.scatter_add_(1, k, change)
            kept += [k, change, moved.gather(1, k).sign()]
        ctx.save_for_backward(inhibition, threshold, *kept)
        return b

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        inhibition, threshold, *kept = ctx.saved_tensors
        by_b, by_inhibition = grads[0].clone(), torch.zeros_like(inhibition)
        by_z, by_threshold = torch.zeros_like(by_b), torch.zeros_like(threshold)
        while kept:
            sign, change, k = kept.pop(), kept.pop(), kept.pop()
            by_inhibition.index_add_(0, k[:, 0], by_b * change)
            by_row = (by_b * inhibition[k[:, 0]]).sum(dim=1, keepdim=True)
            # The change is z̄_k − z_k, and z_k + change is the next z_k.
            by_moved = (by_row + by_z.gather(1, k)) * sign.abs()
            by_z.scatter_(1, k, -by_row)
            by_b.scatter_add_(1, k, by_moved)
            by_threshold.index_add_(0, k[:, 0], -(by_moved * sign)[:, 0])
        return by_b, by_inhibition, by_threshold, None, None


class LearnedCoordinateDescent(nn.Module):
    """b = W_e y, z = 0; T times b ← b + S_k (z̄_k − z_k), z_k ← z̄_k with z̄ = shrink_θ(b), k = argmax_j |z̄_j − z_j|.

    The code is shrink_θ(b) at the end. Source: Gregor & LeCun, "Learning fast approximations of sparse coding" (2010),
    after the coordinate descent of Li & Osher (2009). Before training it is that coordinate descent, with W_e = Wᵀ,
    S = I − WᵀW and θ = λ. A step changes one unit and costs m multiplications, where one of LISTA costs m².

    Args:
        dictionary: W (n, m), with one atom of unit norm in each column.
        sparsity: λ > 0, in units of y.
        steps: T ≥ 0.
        positive: codes z ≥ 0.

    Raises:
        OptionError: for λ ≤ 0, T < 0, or atoms whose norm is not 1.
        ShapeError: if the dictionary is no matrix or not finite.

    >>> encoder = LearnedCoordinateDescent(torch.eye(3), sparsity=0.5, steps=2)
    >>> encoder(torch.tensor([[2.0, 0.3, -1.0]])).detach()
    tensor([[ 1.5000,  0.0000, -0.5000]])
    >>> encoder.multiplications
    15
    """

    def __init__(self, dictionary: Tensor, sparsity: float, steps: int = 32, positive: bool = False) -> None:
        super().__init__()
        check_dictionary(dictionary, sparsity, steps, "steps")
        dictionary = dictionary.detach().clone()
        if bool(((dictionary.norm(dim=0) - 1).abs() > 1e-3).any()):
            raise OptionError("Coordinate descent needs atoms of norm 1: divide each column by its norm.")
        self.steps, self.positive = steps, positive
        self.filters = nn.Parameter(dictionary.T.clone())
        self.thresholds = nn.Parameter(torch.full_like(dictionary[0], sparsity))
        self.inhibition = nn.Parameter(torch.eye(dictionary.shape[1]).to(dictionary) - dictionary.T @ dictionary)

    def forward(self, y: Tensor) -> Tensor:
        """The code (B, m) of y (B, n)."""
        threshold = self.thresholds.clamp_min(0)
        options = (self.inhibition, threshold, self.steps, self.positive)
        return shrink(cast(Tensor, _Descent.apply(y @ self.filters.T, *options)), threshold, self.positive)

    @property
    def multiplications(self) -> int:
        """Of one sample: W_e y, and m for each step."""
        atoms, features = self.filters.shape
        return atoms * features + self.steps * atoms
