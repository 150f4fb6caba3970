"""Gaussian mixture (system A1): a normalised density with a one-hot latent that selects the component."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.kmeans import lloyd, spread_out
from lowland.energies.structure import Structure
from lowland.errors import DomainError, OptionError
from lowland.registry import register
from lowland.tensors import PerSampleRNG


def _forward_substitution(lower: Tensor, right: Tensor) -> Tensor:
    """L⁻¹ r for (K, n, n) and (K, n, B) with sums only, for ONNX, which has no triangular solve."""
    rows: list[Tensor] = []
    for i in range(lower.shape[1]):
        known = sum((lower[:, i, j, None] * rows[j] for j in range(i)), torch.zeros_like(right[:, i]))
        rows.append((right[:, i] - known) / lower[:, i, i, None])
    return torch.stack(rows, dim=1)


@register("energy")
class GaussianMixture(Energy):
    """E(y, z = k) = −log(K π_k N(y; μ_k, Σ_k)), with z one-hot.

    So F_1(y) = −log Σ_k π_k N(y; μ_k, Σ_k) = −log p(y). The factor K accounts for the uniform prior over z in the
    definition of F_β. At β = ∞, F is the energy of the best component. Trained by
    `ll.shaping.ExpectationMaximisation(beta=1.0)`: EM (Dempster, Laird & Rubin 1977).

    Args:
        n_features: size n of y.
        n_components: K.
        covariance: "full", or "diag" for independent coordinates.
        floor: minimum variance in any direction, added to the diagonal of each Σ_k by `refit`, in squared units of y.
            The default is scikit-learn's. With 0, `refit` rejects data that are constant in some direction.
        generator: draws the initial means.

    Raises:
        OptionError: for another kind of covariance, or a floor below 0.

    >>> energy = GaussianMixture(n_features=2, n_components=1)
    >>> energy.means.data.zero_()
    tensor([[0., 0.]])
    >>> energy.marginal(None, torch.zeros(1, 2), beta=1.0).detach()       # log 2π
    tensor([1.8379])
    """

    def __init__(
        self,
        n_features: int,
        n_components: int,
        covariance: Literal["full", "diag"] = "full",
        floor: float = 1e-6,
        generator: torch.Generator | None = None,
    ) -> None:
        if covariance not in ("full", "diag"):
            raise OptionError(f"covariance must be 'full' or 'diag', but it is {covariance!r}.")
        if not floor >= 0:
            raise OptionError(f"floor must not be negative, but it is {floor}.")
        super().__init__(y=Reals(n_features), z=OneHot(n_components))
        self.covariance, self.floor = covariance, floor
        generator = generator or torch.Generator().manual_seed(0)
        self.logits = nn.Parameter(torch.zeros(n_components))
        self.means = nn.Parameter(torch.randn(n_components, n_features, generator=generator))
        scale = torch.eye(n_features) if covariance == "full" else torch.ones(n_features)
        self.scale = nn.Parameter(scale.repeat(n_components, *[1] * scale.ndim))
        """Cholesky factors of Σ_k, (K, n, n), of which the lower triangle is used; or standard deviations, (K, n)."""

    def _table(self, y: Tensor) -> Tensor:
        """E of all components, (B, K)."""
        centred_KnB = (y[:, None] - self.means).permute(1, 2, 0)
        if self.covariance == "full":
            factor = self.scale.tril()
            exporting = torch.compiler.is_exporting()
            solve = _forward_substitution if exporting else partial(torch.linalg.solve_triangular, upper=False)
            white_KnB = solve(factor, centred_KnB)
            deviations = factor.diagonal(dim1=1, dim2=2)
        else:
            white_KnB, deviations = centred_KnB / self.scale[:, :, None], self.scale
        half = 0.5 * white_KnB.square().sum(dim=1).T
        volume = deviations.abs().log().sum(dim=1) + 0.5 * y.shape[1] * math.log(2 * math.pi)
        return half + volume - self.logits.log_softmax(dim=0) - math.log(len(self.logits))

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return (z * self._table(y)).sum(dim=1)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        return Structure(table=lambda: self._table(y)) if over == ("z",) else Structure()

    def marginal(self, x: Any, y: Tensor, beta: float) -> Tensor | None:
        """−log p(y) at β = 1; for other β the table of all components does as well."""
        return math.log(len(self.logits)) - torch.logsumexp(-self._table(y), dim=1) if beta == 1 else None

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """The mean of the component that z selects, (B, n_features)."""
        return z.to(self.means.dtype) @ self.means

    def initialise(self, x: Any, y: Tensor, noise: PerSampleRNG) -> None:
        """Weights, means and covariances of the clusters that K-means finds, started by `spread_out`.

        A cluster with too few samples for its own covariance takes the pooled within-cluster covariance.
        """
        means, labels, _ = lloyd(y, spread_out(y, len(self.means), noise))
        self.means.copy_(means)
        rest = (y - self.means[labels]).double()
        within = self._factor((rest.T @ rest if self.covariance == "full" else rest.square().sum(dim=0)) / len(y))
        self.scale.copy_(within.expand_as(self.scale))
        found = self.statistics(x, y, one_hot(labels, len(self.means)).to(y.dtype))
        self.refit(found)
        few = found["count"] <= 2 * y.shape[1]
        self.scale[few] = within.to(self.scale.dtype)

    def statistics(self, x: Any, y: Tensor, z: Tensor) -> dict[str, Tensor]:
        """Counts, sums and second moments of y − μ_k by component, in float64; see `refit`."""
        y, z, means = y.double(), z.double(), self.means.double()
        total, outer = torch.empty_like(means), torch.empty_like(self.scale, dtype=torch.float64)
        for k, (mean, share) in enumerate(zip(means, z.T, strict=True)):
            centred = y - mean
            weighted = share[:, None] * centred
            total[k] = weighted.sum(dim=0)
            outer[k] = weighted.T @ centred if self.covariance == "full" else (weighted * centred).sum(dim=0)
        return {"count": z.sum(dim=0), "total": total, "outer": outer}

    def refit(self, statistics: dict[str, Tensor]) -> None:
        """The M-step: weights, means and covariances from expected counts.

        Moments are taken about the current means, because moments about 0 cancel if the data are far from it. They are
        shifted, in place, to the new means. A component without samples stays as it is.

        Raises:
            DomainError: with floor = 0, for samples of a component that do not fill all dimensions.
        """
        count, total, outer = statistics["count"], statistics["total"], statistics["outer"]
        alive = count > 10 * torch.finfo(torch.float64).eps
        safe = torch.where(alive, count, 1.0)[:, None]
        step = total / safe
        self.logits.copy_(count.clamp_min(1e-300).log().clamp_min(-80).sub(count.sum().log()))
        if self.covariance == "full":
            covariance = outer / safe[:, :, None] - step[:, :, None] * step[:, None, :]
        else:
            covariance = outer / safe - step.square()
        self.scale[alive] = self._factor(covariance[alive]).to(self.scale.dtype)
        before = self.means.to(torch.float64, copy=True)
        self.means[alive] = (before + step)[alive].to(self.means.dtype)
        moved = self.means.double() - before
        if self.covariance == "full":
            cross = moved[:, :, None] * total[:, None, :]
            outer += count[:, None, None] * moved[:, :, None] * moved[:, None, :] - cross - cross.mT
        else:
            outer += count[:, None] * moved.square() - 2 * moved * total
        total -= count[:, None] * moved

    def _factor(self, covariance: Tensor) -> Tensor:
        if self.covariance == "diag":
            factor = (covariance.clamp_min(0) + self.floor).sqrt()
            failed = factor == 0
        else:
            eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
            factor, failed = torch.linalg.cholesky_ex(covariance + self.floor * eye)
            if self.floor > 0 and bool(failed.any()):
                # Rounding errors of the largest variance exceed the floor: eigenvalues below the floor are set to it.
                values, vectors = torch.linalg.eigh(covariance)
                roots = (values.clamp_min(0) + self.floor).sqrt()
                lower = torch.linalg.qr(roots[..., None] * vectors.mT).R.mT
                return lower * lower.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
        if bool(failed.any()):
            raise DomainError(
                "The samples of a component of the GaussianMixture are constant in some direction, so their "
                "density is infinite: set floor (reg_covar) above 0, or leave out constant and dependent columns."
            )
        return factor

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Two unit Gaussians: E = ½‖y − μ‖² + log 2π − log(2 · ½) for the nearer one."""
        energy = cls(2, 2)
        energy.means.data = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
        y = torch.tensor([[1.0, 0.0], [4.0, 2.0]])
        minimum = torch.tensor([0.5, 2.0]) + math.log(2 * math.pi)
        return ReferenceCase(energy, {"y": y}, "z", minimum=minimum, minimiser=torch.eye(2))
