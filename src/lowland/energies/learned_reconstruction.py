"""A learned prior for under-sampled Fourier data (system V13): an image should be what a network makes of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.data.fourier import fourier
from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.kspace import zero_filled
from lowland.energies.structure import Structure
from lowland.nn.unet import UNet
from lowland.registry import register

_LOW = 0.015
"""Width of the lowest frequencies, as a share of all: within the middle that is measured in full at 8-fold."""


@register("energy")
class LearnedReconstruction(Energy):
    """E(x, y) = ½‖y − e^{iφ} U(e^{−iφ} Fᴴ m k)‖²: y a complex image, x = (k, m) its measured coefficients, U a U-Net.

    φ is the phase of the lowest frequencies alone; without it the image is nearly real, and U need not learn phases. By
    itself the minimiser is the network's output, and `MinimumEnergy` trains it on pairs (x, y) by least squares, as the
    baseline of fastMRI is trained (Zbontar et al. 2018). In a sum, `KSpace(H, W) + w * LearnedReconstruction(H, W)`, it
    is a prior, and the answer weighs it against what was measured; compare Aggarwal, Mani & Jacob, "MoDL" (2019).

    Args:
        height, width: H and W, even or odd.
        maps: feature maps of each scale of U, see `lowland.nn.unet.UNet`.
        generator: draws the weights.

    x is (B, 3, H, W) and y (B, 2, H, W), as for `KSpace`.

    >>> energy = LearnedReconstruction(8, 6, maps=(4, 8))
    >>> y = torch.ones(1, 2, 8, 6)
    >>> value = energy(x=torch.cat([fourier(y), torch.ones(1, 1, 8, 6)], dim=1), y=y)
    >>> value.shape, bool(value < 1e-6)  # not trained, it is the identity
    (torch.Size([1]), True)
    """

    def __init__(
        self,
        height: int,
        width: int,
        maps: tuple[int, ...] = (16, 32, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(x=Reals(3, height, width), y=Reals(2, height, width))
        self.network = UNet(2, tuple(maps), generator)

    def encode(self, x: Tensor) -> Tensor:
        """U(x), (B, 2, H, W): everything the energy needs from x."""
        phase = smooth_phase_of(x)
        back = phase * phase.new_tensor([1.0, -1.0])[:, None, None]
        return times(self.network(times(zero_filled(x), back)), phase)

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return 0.5 * squared_distance(y, x)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(minimiser=lambda: x.flatten(1), lipschitz=1.0, convex=True)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Before training U is the identity: the image of all coefficients has energy 0."""
        y = torch.rand(2, 2, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        x = torch.cat([fourier(y), torch.ones(2, 1, 4, 6)], dim=1)
        return ReferenceCase(cls(4, 6, maps=(2, 3)), {"x": x}, "y", torch.zeros(2), y.flatten(1))


def smooth_phase_of(x: Tensor) -> Tensor:
    """The phase of the image of the lowest frequencies alone, as numbers of modulus 1: (B, 3, H, W) → (B, 2, H, W).

    >>> y = torch.tensor([0.6, 0.8]).reshape(1, 2, 1, 1).expand(-1, -1, 8, 8)
    >>> smooth_phase_of(torch.cat([fourier(y), torch.ones(1, 1, 8, 8)], dim=1))[0, :, 3, 3]
    tensor([0.6000, 0.8000])
    """
    rows, columns = (
        torch.exp(-0.5 * ((torch.arange(size, dtype=x.dtype, device=x.device) - size // 2) / max(1, _LOW * size)) ** 2)
        for size in x.shape[2:]
    )
    low = zero_filled(x * (rows[:, None] * columns))
    return low / torch.linalg.vector_norm(low, dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)


def times(one: Tensor, other: Tensor) -> Tensor:
    """The product of complex images in real arithmetic, which exports: (B, 2, H, W) each."""
    (a, b), (c, d) = one.unbind(dim=1), other.unbind(dim=1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=1)
