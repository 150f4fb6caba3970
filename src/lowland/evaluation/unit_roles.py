"""What the units of a discriminative recurrent sparse auto-encoder do: parts, categories, and the steps between them.

Legend: B samples, n numbers of a sample, K units, C classes, T steps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.energies.discriminative_sparse_autoencoder import DiscriminativeSparseAutoencoder


class UnitRoles(NamedTuple):
    """Steps and units of an encoder z_{t+1} = max(0, A x + S z_t − b) with decoder D and classifier C.

    Attributes:
        steps: share of samples that the classifier gets wrong, of the code after 1, 2, …, T steps.
        active: share of units that are active after each.
        atoms: (K, n), what each unit draws, its column of D.
        cosine: (K,), of a unit's row of A and its column of D: near 1 for a part-unit, which is driven by what it
            draws, and smaller for a categorical-unit, which other units drive.
        votes: (C, K), the weights of the classifier.
        used: (K,), share of samples on which a unit is active.
    """

    steps: list[float]
    active: list[float]
    atoms: Tensor
    cosine: Tensor
    votes: Tensor
    used: Tensor


@torch.no_grad()
def unit_roles(energy: DiscriminativeSparseAutoencoder, x: Tensor, labels: Tensor) -> UnitRoles:
    """Part-units and categorical-units, and what each step of the encoder adds, as Rolfe & LeCun (2013) look at them.

    Args:
        energy: trained; it is as before afterwards.
        x: (B, n).
        labels: (B,), classes.

    >>> energy = DiscriminativeSparseAutoencoder(4, 2, n_atoms=3, iterations=2)
    >>> roles = unit_roles(energy, torch.ones(5, 4), torch.zeros(5, dtype=torch.int64))
    >>> len(roles.steps), roles.atoms.shape, roles.cosine
    (2, torch.Size([3, 4]), tensor([1.0000, 1.0000, 1.0000]))
    """
    steps, active, whole = [], [], energy.iterations
    try:
        for count in range(1, whole + 1):
            energy.iterations = count
            z = energy.code(x)
            steps.append((energy.scores(z).argmax(dim=1) != labels).double().mean().item())
            active.append((z > 0).float().mean().item())
    finally:
        energy.iterations = whole
    cosine = functional.cosine_similarity(energy.encoder, energy.decoder.T, dim=1)
    used = (energy.code(x) > 0).float().mean(dim=0)
    return UnitRoles(steps, active, energy.decoder.T.clone(), cosine, energy.classes.clone(), used)
