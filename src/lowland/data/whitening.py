"""Whitening by principal components: samples whose coordinates are uncorrelated and of variance 1."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError


class Whitening(NamedTuple):
    """`matrix` (n, k), by which samples y are whitened, y @ matrix; and `axes` (n, k), their principal axes."""

    matrix: Tensor
    axes: Tensor


def whitening(samples: Tensor, components: int) -> Whitening:
    """V Λ^{−1/2} of the k largest eigenvalues Λ of yᵀy / N: whitened samples have that second moment I.

    For samples without a mean, such as patches less theirs. What is found in whitened space is seen in the samples'
    own coordinates as `axes @ w`.

    Args:
        samples: (N, n).
        components: k, from 1 to n.

    Raises:
        OptionError: for another number of components.

    >>> y = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 0.5], [0.0, -0.5]])
    >>> white = y @ whitening(y, 2).matrix
    >>> (white.T @ white / 4).round(decimals=3)
    tensor([[1., 0.],
            [0., 1.]])
    """
    if not 1 <= components <= samples.shape[1]:
        raise OptionError(f"components must be from 1 to {samples.shape[1]}, but they are {components}.")
    values, vectors = torch.linalg.eigh((samples.T @ samples / len(samples)).double())
    values, vectors = values[-components:], vectors[:, -components:]
    return Whitening((vectors / values.clamp_min(1e-12).sqrt()).to(samples), vectors.to(samples))
