"""Score matching: fit ∇ log p = −∇F without log Z, exactly, along random directions, or by denoising (system A4)."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.gaussian import Gaussian
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.contrastive.points import flat_vectors
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG, repeat_rows


class _Curved(FreeEnergyShaping):
    """The base of exact and sliced score matching, which differ in the directions along which curvature is measured.

    Args:
        smoothing: standard deviation of Gaussian noise added to the data at each step, in units of y. If data lie on a
            manifold or a lattice (pixels that are always 0), the loss has no lower bound without it.
        beta, latent_solver, seed: see `FreeEnergyShaping`.
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if not smoothing >= 0:
            raise OptionError(f"smoothing must be at least 0, but it is {smoothing}.")
        self.smoothing = smoothing

    def directions(self, y: Tensor) -> Tensor:
        """(B, N, D), with the identity as the expectation of Σ_n v_n v_nᵀ."""
        raise NotImplementedError

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        y = flat_vectors(self, batch.y)
        if self.smoothing:
            y = y + self.smoothing * self.noise(y).normal(y.shape[1])
        gradient, laplacian = curvature(self, energy, y, self.directions(y), batch)
        steepness = 0.5 * gradient.square().sum(dim=1).mean()
        metrics = {"steepness": steepness.detach(), "laplacian": laplacian.detach().mean()}
        return Losses({"energy": steepness - laplacian.mean()}, metrics)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return ShapingCase(cls(), *_case())


def curvature(
    shaping: FreeEnergyShaping, energy: Energy, y: Tensor, directions: Tensor, batch: Batch
) -> tuple[Tensor, Tensor]:
    """∇F, (B, D), and Σ_n v_nᵀ (∇²F) v_n over N directions (B, N, D), (B,), both with a graph.

    One Hessian-vector product per direction, all in one batch of B · N rows.
    """
    count = directions.shape[1]
    with torch.enable_grad():
        points = repeat_rows(y.detach(), count).requires_grad_()
        value = shaping.free(energy, points, repeat_rows(batch.x, count), derivatives=3)
        (gradient,) = torch.autograd.grad(value.sum(), points, create_graph=True)
        flat = directions.reshape(-1, y.shape[1])
        (product,) = torch.autograd.grad((gradient * flat).sum(), points, create_graph=True)
    along = (product * flat).sum(dim=1).reshape(-1, count).sum(dim=1)
    return gradient.reshape(-1, count, y.shape[1])[:, 0], along


def _case() -> tuple[Energy, Batch]:
    return Gaussian(2), Batch(1 + 0.5 * PerSampleRNG(0, torch.arange(64)).normal(2))


@register("shaping")
class ScoreMatching(_Curved):
    """J = mean over the data of ½ ‖∇F(y)‖² − ΔF(y), for log p = −F − log Z, with the exact Laplacian Δ.

    Source: Hyvärinen, "Estimation of non-normalized statistical models by score matching" (2005). It takes D
    Hessian-vector products per sample, so it suits D up to about a hundred.

    Energies: any with a continuous y, one tensor, and a smooth F.

    >>> case = ScoreMatching.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def directions(self, y: Tensor) -> Tensor:
        size = y.shape[1]
        return torch.eye(size, dtype=y.dtype, device=y.device).expand(len(y), size, size)


@register("shaping")
class SlicedScoreMatching(_Curved):
    """J = mean of ½ ‖∇F(y)‖² − vᵀ (∇²F(y)) v, v of random signs: `ScoreMatching` with an estimated Laplacian.

    Source: Song, Garg, Shi & Ermon, "Sliced score matching" (2019), the variance-reduced form, in which ½ ‖∇F‖² is
    exact.

    Energies: any with a continuous y, one tensor, and a smooth F.

    Args:
        slices: directions v per sample, whose curvatures are averaged.
        smoothing, beta, latent_solver, seed: see `ScoreMatching`.

    Raises:
        OptionError: for fewer than one slice.

    >>> case = SlicedScoreMatching.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self,
        slices: int = 1,
        smoothing: float = 0.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(smoothing, beta, latent_solver, seed)
        if slices < 1:
            raise OptionError(f"slices must be at least 1, but it is {slices}.")
        self.slices = slices

    def directions(self, y: Tensor) -> Tensor:
        uniform = self.noise(y).uniform(self.slices, y.shape[1])
        return (uniform > 0.5).to(y.dtype).mul(2).sub(1) / self.slices**0.5


@register("shaping")
class DenoisingScoreMatching(FreeEnergyShaping):
    """J = mean ½ ‖∇F(ỹ) − (ỹ − y) / σ²‖², ỹ = y + σ e: −∇F points from a noisy sample back to the sample.

    It equals `ScoreMatching` on data smoothed by σ, up to a constant, and needs no second derivative in y. Source:
    Vincent, "A connection between score matching and denoising autoencoders" (2011).

    Energies: any with a continuous y, one tensor.

    Args:
        spread: σ, in units of y.
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    Raises:
        OptionError: if σ is not positive.

    >>> case = DenoisingScoreMatching.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self,
        spread: float = 0.3,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if not spread > 0:
            raise OptionError(f"spread must be positive, but it is {spread}.")
        self.spread = spread

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        step = self.spread * self.noise(batch.y).normal(*batch.y.shape[1:])
        _, gradient = self.slope(energy, batch.y + step, batch.x)
        miss = (gradient - step / self.spread**2).flatten(1).square().sum(dim=1)
        loss = 0.5 * miss.mean()
        return Losses({"energy": loss}, {"steepness": 0.5 * gradient.detach().flatten(1).square().sum(dim=1).mean()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return ShapingCase(cls(), *_case())
