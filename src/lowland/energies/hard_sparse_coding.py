"""Sparse coding with a bound on the number of atoms (systems S1, S2, R1): the ℓ0 counterpart of the lasso."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Sparse
from lowland.energies.base import ReferenceCase, squared_distance
from lowland.energies.sparse_coding import SparseCoding, largest_eigenvalue
from lowland.energies.structure import Quadratic, Structure
from lowland.errors import UnsupportedError
from lowland.registry import register


@register("energy")
class HardSparseCoding(SparseCoding):
    """E(y, z) = ½‖y − W z‖² over all z with ‖z‖₀ ≤ k, with unit-norm atoms as the columns of W.

    The domain of z bounds the number of atoms, so E has no penalty and does not shrink the code. Exact minimisation is
    NP-hard (Natarajan 1995); `ll.solvers.OrthogonalMatchingPursuit` and `ll.solvers.CGIHT` find local minima.
    `ll.shaping.ExpectationMaximisation` trains it, with the dictionary update of `SparseCoding`.

    Args:
        n_features: size of y.
        n_atoms: size of z.
        nonzeros: k, from 1 to n_atoms.
        positive: z ≥ 0.
        generator: draws the initial dictionary from the normal distribution.

    Raises:
        DomainError: if k is out of range.

    >>> energy = HardSparseCoding(n_features=4, n_atoms=8, nonzeros=2)
    >>> energy(y=torch.ones(2, 4), z=torch.zeros(2, 8)).detach()
    tensor([2., 2.])
    """

    def __init__(
        self,
        n_features: int,
        n_atoms: int,
        nonzeros: int = 10,
        positive: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(n_features, n_atoms, positive=positive, generator=generator)
        self.domains["z"] = Sparse(n_atoms, nonzeros, positive)
        self.nonzeros = nonzeros

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return 0.5 * squared_distance(y, z @ self.dictionary.T)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("z",):
            return Structure()
        gram = self.dictionary.T @ self.dictionary
        quadratic = Quadratic(gram, y @ self.dictionary, 0.5 * y.square().sum(dim=1))
        return Structure(quadratic=quadratic, lipschitz=lambda: largest_eigenvalue(gram.detach()))

    def duality_gap(self, y: Tensor, z: Tensor) -> Tensor:
        """There is none: codes with at most k atoms are not a convex set, so there is no dual bound on E."""
        raise UnsupportedError("HardSparseCoding is not convex and has no duality gap: compare energies instead.")

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With orthonormal atoms the code keeps the largest entries of Wᵀ y."""
        energy = cls(3, 3, nonzeros=2)
        energy.dictionary.data = torch.eye(3)
        y = torch.tensor([[2.0, 0.3, -1.0], [0.1, -0.5, 3.0]])
        code = torch.tensor([[2.0, 0.0, -1.0], [0.0, -0.5, 3.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=0.5 * squared_distance(y, code), minimiser=code)
