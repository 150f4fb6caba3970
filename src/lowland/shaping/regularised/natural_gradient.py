"""The natural gradient of a square linear map (system A1), which makes ICA fast."""

from __future__ import annotations

import torch

from lowland.energies.base import Energy
from lowland.energies.ica import SquareICA
from lowland.energies.protocols import offered
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.regularised.minimum_energy import MinimumEnergy


@register("shaping")
class NaturalGradient(MinimumEnergy):
    """W ← W − η (∂L/∂W) WᵀW with L = mean F(y): for ICA, W ← W + η (I − mean φ(s) sᵀ) W, φ = ρ′.

    It needs no inverse of W, and its speed of convergence does not depend on how the sources were mixed. Source: Amari,
    Cichocki & Yang, "A new learning algorithm for blind signal separation" (1996); Cardoso & Laheld (1996).

    Energies: `SquareICA`.

    Args:
        step_size: η, dimensionless; below about 0.5 for sources of unit variance.
        noise: standard deviation of Gaussian noise added to y, as in `MinimumEnergy`; without it, a constant pixel
            makes W grow without bound.
        seed: of the noise.

    Raises:
        OptionError: for a step size that is not positive.
        UnsupportedError: in training, for an energy that is not a `SquareICA`.

    >>> import lowland as ll
    >>> energy, batch = SquareICA(n_features=2), ll.shaping.Batch(torch.eye(2))
    >>> before = energy(y=batch.y).mean()
    >>> _ = NaturalGradient().update(energy, batch)
    >>> bool(energy(y=batch.y).mean() < before)
    True
    """

    def __init__(self, step_size: float = 0.1, noise: float = 0.0, seed: int = 0) -> None:
        super().__init__(noise=noise, seed=seed)
        if not step_size > 0:
            raise OptionError(f"step_size must be positive, but it is {step_size}.")
        self.step_size = step_size

    def update(self, energy: Energy, batch: Batch) -> Losses:
        _, core = offered(energy, SquareICA, type(self).__name__)
        with torch.enable_grad():
            found = self(energy, batch)
            (slope,) = torch.autograd.grad(found.losses["energy"], core.unmixing)
        with torch.no_grad():
            relative = self.step_size * slope @ core.unmixing.T
            # A step that changes W by more than half of its size is shortened, so that outliers cannot make it diverge.
            relative /= torch.linalg.matrix_norm(relative).mul(2).clamp_min(1)
            core.unmixing -= relative @ core.unmixing
        return Losses({"energy": found.losses["energy"].detach()}, found.metrics)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        generator = torch.Generator().manual_seed(0)
        y = torch.randn(256, 2, generator=generator) ** 3 @ torch.tensor([[1.0, 0.5], [0.0, 1.0]])
        return ShapingCase(cls(), SquareICA(2), Batch(y, index=torch.arange(256)))
