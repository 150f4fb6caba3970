"""Sparse coding (systems S1, A2): the classic example of a regularised latent variable."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.compiled import usable
from lowland.domains import NonNegative, Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Penalty, Quadratic, Structure
from lowland.errors import OptionError
from lowland.registry import register

# Above this fraction of non-zero codes, dense matrix products are faster than sums over the non-zeros.
_DENSE = 0.25
# Atoms refitted as one block: the contribution of all others to them is one matrix product.
_BLOCK = 32


@register("energy")
class SparseCoding(Energy):
    """E(y, z) = ½‖y − W z‖² + λ‖z‖₁, with unit-norm atoms as the columns of W.

    Source: Olshausen & Field (1996); the ½ is the convention of the lasso, so that λ is scikit-learn's alpha for
    `sparse_encode`. `ll.shaping.MinimumEnergy(solver=ll.solvers.FISTA())` trains it by
    gradient and `ll.shaping.ExpectationMaximisation(solver=..., memory=1.0)` by online dictionary learning.

    Args:
        n_features: size of y.
        n_atoms: size of z.
        sparsity: λ > 0, in units of y.
        positive: z ≥ 0.
        generator: draws the initial dictionary from the normal distribution.

    Raises:
        OptionError: if λ is not positive.

    >>> energy = SparseCoding(n_features=4, n_atoms=8, sparsity=0.1)
    >>> energy(y=torch.ones(2, 4), z=torch.zeros(2, 8)).detach()
    tensor([2., 2.])
    """

    def __init__(
        self,
        n_features: int,
        n_atoms: int,
        sparsity: float = 0.1,
        positive: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        if not sparsity > 0:
            raise OptionError(f"sparsity must be positive, but it is {sparsity}: with 0 the code is not unique.")
        super().__init__(y=Reals(n_features), z=NonNegative(n_atoms) if positive else Reals(n_atoms))
        self.sparsity, self.positive = sparsity, positive
        start = torch.randn(n_features, n_atoms, generator=generator or torch.Generator().manual_seed(0))
        self.dictionary = nn.Parameter(functional.normalize(start, dim=0))

    def with_sparsity(self, sparsity: float) -> SparseCoding:
        """A copy with the same dictionary and another λ."""
        n_features, n_atoms = self.dictionary.shape
        again = SparseCoding(n_features, n_atoms, sparsity, self.positive).to(self.dictionary)
        again.load_state_dict(self.state_dict())
        return again

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return 0.5 * squared_distance(y, z @ self.dictionary.T) + self.sparsity * z.abs().sum(dim=1)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("z",):
            return Structure()
        gram = self.dictionary.T @ self.dictionary
        quadratic = Quadratic(gram, y @ self.dictionary, 0.5 * y.square().sum(dim=1))
        weights = torch.full_like(gram.detach()[0], self.sparsity)
        penalty = Penalty(self._penalty, self._shrink, lambda u_j, step, j: self._shrink(u_j, step), weights)
        bound = partial(largest_eigenvalue, gram.detach())
        return Structure(quadratic=quadratic, penalty=penalty, lipschitz=bound, convex=True)

    def _penalty(self, u: Tensor) -> Tensor:
        return self.sparsity * u.abs().sum(dim=1)

    def _shrink(self, u: Tensor, step: Tensor) -> Tensor:
        """shrink_{step·λ}: soft threshold, one-sided where z ≥ 0."""
        threshold = step * self.sparsity
        if self.positive:
            return (u - threshold).clamp_min(0)
        return u.sign() * (u.abs() - threshold).clamp_min(0)

    def duality_gap(self, y: Tensor, z: Tensor) -> Tensor:
        """(B,) E(y, z) − max_θ D(θ): at least as large as E(y, z) − F(y), and 0 at the minimiser.

        D(θ) = ½‖y‖² − ½‖y − θ‖² = θ·(y − θ/2) for |Wᵀθ| ≤ λ (Wᵀθ ≤ λ where z ≥ 0), taken at the residual y − W z scaled
        down until it is feasible (Kim et al. 2007).
        """
        residual = y - z @ self.dictionary.T
        correlation = residual @ self.dictionary
        size = (correlation if self.positive else correlation.abs()).amax(dim=1).clamp_min(self.sparsity)
        dual = residual * (self.sparsity / size)[:, None]
        return self.energy(None, y, z) - (dual * (y - 0.5 * dual)).sum(dim=1)

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """W z, (B, n_features)."""
        return z @ self.dictionary.T

    def constrain(self) -> None:
        """Normalise the atoms; otherwise small codes with large atoms would evade λ‖z‖₁."""
        self.dictionary.copy_(functional.normalize(self.dictionary, dim=0))

    def statistics(self, x: Any, y: Tensor, z: Tensor) -> dict[str, Tensor]:
        """Σ z zᵀ and Σ y zᵀ, in float64 (Mairal, Bach, Ponce & Sapiro 2009, algorithm 1)."""
        if not usable(y, z) or torch.count_nonzero(z) > _DENSE * z.numel():
            y, z = y.double(), z.double()
            return {"codes": z.T @ z, "products": y.T @ z}
        from lowland.compiled.atoms import correlate

        codes = torch.zeros(z.shape[1], z.shape[1], dtype=torch.float64)
        products = torch.zeros(z.shape[1], y.shape[1], dtype=torch.float64)
        correlate(y.contiguous().numpy(), z.contiguous().numpy(), codes.numpy(), products.numpy())
        return {"codes": codes, "products": products.T}

    def used(self, statistics: dict[str, Tensor]) -> Tensor:
        """(K,) whether any code uses an atom."""
        return statistics["codes"].diagonal() > 0

    def refit(self, statistics: dict[str, Tensor]) -> None:
        """One round of block-coordinate descent on the atoms, each then scaled to unit norm.

        An atom that no code uses stays as it is.
        """
        codes, products = statistics["codes"], statistics["products"]
        least = 1e-12 * codes.diagonal().amax().clamp_min(1e-300)
        if usable(codes, self.dictionary):
            from lowland.compiled.atoms import descend

            rows, codes, products = self.dictionary.T.double().contiguous(), codes.contiguous(), products.T
            for first in range(0, len(rows), _BLOCK):
                here = slice(first, first + _BLOCK)
                residual = torch.addmm(products[here], codes[here], rows, alpha=-1)
                descend(rows.numpy(), codes.numpy(), residual.numpy(), first, float(least))
            self.dictionary.copy_(rows.T)
            return
        atoms = self.dictionary.double()
        for k in (codes.diagonal() > least).nonzero()[:, 0]:
            moved = atoms[:, k] + (products[:, k] - atoms @ codes[:, k]) / codes[k, k]
            atoms[:, k] = torch.where(moved.square().sum() > 0, functional.normalize(moved, dim=0), atoms[:, k])
        self.dictionary.copy_(atoms)

    def replace(self, unused: Tensor, y: Tensor, statistics: dict[str, Tensor]) -> None:
        """Replace the atoms with these indices by non-zero samples y, and drop their codes from the statistics."""
        unused, y = unused[y.square().sum(dim=1) > 0], y[y.square().sum(dim=1) > 0]
        self.dictionary[:, unused] = functional.normalize(y, dim=1).T
        statistics["codes"][unused] = 0.0
        statistics["codes"][:, unused] = 0.0
        statistics["products"][:, unused] = 0.0

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With orthonormal atoms the code is shrink_λ(Wᵀ y)."""
        energy = cls(3, 3, sparsity=0.5)
        energy.dictionary.data = torch.eye(3)
        code = torch.tensor([[1.5, 0.0, -0.5], [0.0, 0.0, 2.5]])
        y = torch.tensor([[2.0, 0.3, -1.0], [0.1, -0.5, 3.0]])
        minimum = 0.5 * squared_distance(y, code) + 0.5 * code.abs().sum(dim=1)
        return ReferenceCase(energy, {"y": y}, "z", minimum=minimum, minimiser=code)


def largest_eigenvalue(gram: Tensor) -> Tensor:
    """The largest eigenvalue, rounded up."""
    return torch.linalg.eigvalsh(gram)[-1] * (1 + 1e-6)
