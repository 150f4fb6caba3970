"""A linear encoder of sparse codes by least squares: a baseline for learned encoders."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.nn.lista import shrink

THRESHOLDS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
"""Soft thresholds to choose from on validation samples."""


class LinearCoder(NamedTuple):
    """z = y M, optionally followed by a soft threshold.

    Args:
        matrix: M, (n_features, n_atoms).
        threshold: in units of z.
    """

    matrix: Tensor
    threshold: float

    def dense(self, y: Tensor) -> Tensor:
        """(B, n_features) → (B, n_atoms), all units active."""
        return y @ self.matrix

    def shrunk(self, y: Tensor) -> Tensor:
        """The same, shrunk towards zero by the threshold."""
        codes = self.dense(y)
        return shrink(codes, torch.full_like(codes[0], self.threshold))

    def sparse(self, y: Tensor, active: int) -> Tensor:
        """The same with only the `active` largest units of each code, the others zero."""
        codes = self.dense(y)
        kept = codes.abs().topk(active, dim=1).indices
        return torch.zeros_like(codes).scatter(1, kept, codes.gather(1, kept))


def fit_linear_coder(energy: Energy, y: Tensor, codes: Tensor, validation: Tensor) -> LinearCoder:
    """Ridge regression from samples to their codes, with the threshold of lowest mean energy on validation samples.

    The ridge is 1e-6 of the mean square of a feature for samples of norm 1, enough if yᵀy is singular, as it is for
    patches with their mean removed.

    Args:
        energy: E(y, z), used to choose the threshold.
        y, codes: (N, n_features) and (N, n_atoms).
        validation: (M, n_features).

    >>> from lowland.energies import SparseCoding
    >>> y = torch.eye(4)
    >>> fit_linear_coder(SparseCoding(4, 4, 0.1), y, y, y).matrix.diagonal().round(decimals=3)
    tensor([1., 1., 1., 1.])
    """
    wide, z = y.double(), codes.double()
    square = wide.T @ wide + 1e-6 * len(y) / y.shape[1] * torch.eye(y.shape[1]).to(wide)
    matrix = torch.linalg.solve(square, wide.T @ z).to(y.dtype)
    coders = [LinearCoder(matrix, threshold) for threshold in THRESHOLDS]
    with torch.no_grad():
        return min(coders, key=lambda coder: float(energy(y=validation, z=coder.shrunk(validation)).mean()))
