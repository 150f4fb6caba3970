"""Principal components (system A1): the low-energy volume is bounded: it is a low-dimensional affine subspace."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Quadratic, Structure
from lowland.errors import OptionError
from lowland.registry import register
from lowland.tensors import PerSampleRNG


@register("energy")
class PCA(Energy):
    """E(y, z) = ‖y − μ − Wᵀz‖², with W Wᵀ = I; so F(y) = min_z E = ‖(y − μ) − WᵀW(y − μ)‖².

    Only the affine subspace μ + Wᵀz has zero energy. Source: LeCun, "The Deep Learning – Applied Math Connection"
    (2020), the first of the seven strategies; Pearson (1901). `ll.shaping.ExpectationMaximisation()` finds W exactly,
    by the eigenvectors of the covariance; `ll.shaping.MinimumEnergy()` finds the same subspace by gradient.

    Args:
        n_features: size n of y.
        n_components: size k of z, at most n.
        generator: draws the initial W.

    Raises:
        OptionError: unless 1 ≤ n_components ≤ n_features.

    >>> energy = PCA(n_features=3, n_components=2)
    >>> energy(y=torch.ones(4, 3), z=torch.zeros(4, 2)).detach()
    tensor([3., 3., 3., 3.])
    """

    def __init__(self, n_features: int, n_components: int, generator: torch.Generator | None = None) -> None:
        if not 1 <= n_components <= n_features:
            raise OptionError(f"n_components must be from 1 to n_features = {n_features}, but it is {n_components}.")
        super().__init__(y=Reals(n_features), z=Reals(n_components))
        start = torch.randn(n_components, n_features, generator=generator or torch.Generator().manual_seed(0))
        self.components = nn.Parameter(start)
        self.mean = nn.Parameter(torch.zeros(n_features))
        with torch.no_grad():
            self.constrain()

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return squared_distance(y - self.mean, z @ self.components)

    def code(self, y: Tensor) -> Tensor:
        """(W Wᵀ)⁻¹ W (y − μ), the minimiser over z even if W is not quite orthonormal, as after a gradient step."""
        projected = (y - self.mean) @ self.components.T
        return torch.linalg.solve(self.components @ self.components.T, projected.T).T

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("z",):
            return Structure()
        gram = 2 * self.components @ self.components.T
        centred = y - self.mean
        quadratic = Quadratic(gram, 2 * centred @ self.components.T, centred.square().sum(dim=1))
        bound = torch.linalg.eigvalsh(gram.detach())[-1] * (1 + 1e-5)
        return Structure(quadratic=quadratic, lipschitz=bound, minimiser=lambda: self.code(y), convex=True)

    def marginal(self, x: Any, y: Tensor, beta: float) -> Tensor | None:
        return self.energy(x, y, self.code(y)) if beta == math.inf else None

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """μ + Wᵀz, (B, n_features)."""
        return self.mean + z @ self.components

    def initialise(self, x: Any, y: Tensor, noise: PerSampleRNG) -> None:
        """μ becomes the mean of the data."""
        self.mean.copy_(y.mean(dim=0))

    def constrain(self) -> None:
        """The rows of W become the orthonormal basis closest to them (polar decomposition)."""
        left, _, right = torch.linalg.svd(self.components, full_matrices=False)
        self.components.copy_(left @ right)

    def statistics(self, x: Any, y: Tensor, z: Any) -> dict[str, Tensor]:
        """Count, sum and second moment of y − μ, in float64; see `refit`."""
        y = y.double() - self.mean.double()
        return {"count": torch.full_like(y[0, :1], len(y)), "total": y.sum(dim=0), "outer": y.T @ y}

    def refit(self, statistics: dict[str, Tensor]) -> None:
        """μ and the leading eigenvectors of the covariance, largest first, each with its largest entry positive.

        Moments are taken about the current μ, because moments about 0 cancel if the data are far from it. They are
        shifted, in place, to the new μ.
        """
        count, total, outer = statistics["count"], statistics["total"], statistics["outer"]
        step = total / count
        covariance = outer / count - torch.outer(step, step)
        vectors = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, : self.components.shape[0]].T
        largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
        before = self.mean.to(torch.float64, copy=True)
        self.mean.copy_(before + step)
        self.components.copy_(vectors * largest.sign())
        moved = self.mean.double() - before
        cross = torch.outer(moved, total)
        outer += count * torch.outer(moved, moved) - cross - cross.T
        total -= count * moved

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With W the first two axes, F is the square of the third coordinate."""
        energy = cls(3, 2)
        energy.components.data = torch.eye(3)[:2]
        y = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.tensor([9.0, 1.0]), minimiser=y[:, :2].clone())
