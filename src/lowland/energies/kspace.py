"""An image from some of its Fourier coefficients (system V13): under-sampled magnetic resonance, with total variation.

Shape letters: B samples, H rows, W columns; complex numbers are two channels, real and imaginary part.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.data.fourier import as_complex, as_pair, fourier, inverse_fourier
from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Analysis, Structure
from lowland.errors import DomainError, OptionError
from lowland.registry import register


@register("energy")
class KSpace(Energy):
    """E(x, y) = ½ Σ_ω m_ω |F y − k|²_ω + λ TV(y): y a complex image, x = (k, m) its measured Fourier coefficients.

    F is the orthonormal Fourier transform (`lowland.data.fourier`), and m is 1 where k was measured and 0 elsewhere.
    What was measured is weighed against the rest of the energy, and not kept as it is, because it has noise. TV(y) =
    Σ_i ‖(∇y)_i‖, with circular differences to the next row and the next column, is total variation (Rudin, Osher &
    Fatemi 1992); for magnetic resonance Lustig, Donoho & Pauly, "Sparse MRI" (2007). A learned prior is added as an
    energy: `KSpace(...) + 0.5 * prior`.

    With λ = 0 the minimiser of least norm is known, the zero-filled image Fᴴ(m k). With λ > 0, `SplitBregman` minimises
    E over y with a bound on how far it is above the minimum, for each image.

    Args:
        height, width: H and W, even or odd.
        variation: λ ≥ 0, in units of y.
        isotropic: whether the two differences of a pixel, and the two parts of a complex number, make one norm; else
            the modulus of each complex difference counts by itself, as in SigPy.

    x is (B, 3, H, W): real part of k, imaginary part of k, and m ≥ 0. y is (B, 2, H, W).

    Raises:
        OptionError: for a size below 1, or a λ that is negative or not a number.
        DomainError: in inference, for a negative m.

    >>> energy = KSpace(8, 6, variation=0.01)
    >>> y = torch.ones(1, 2, 8, 6)
    >>> energy(x=torch.cat([fourier(y), torch.ones(1, 1, 8, 6)], dim=1), y=y)
    tensor([0.])
    """

    def __init__(self, height: int, width: int, variation: float = 0.0, isotropic: bool = True) -> None:
        if min(height, width) < 1 or not 0 <= variation < float("inf"):
            raise OptionError(
                f"An image needs at least one row and column, and variation must be at least 0, but they are {height}, "
                f"{width} and {variation}."
            )
        super().__init__(x=Reals(3, height, width), y=Reals(2, height, width))
        self.variation, self.isotropic = float(variation), isotropic

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        error = (fourier(y) - x[:, :2]).square().sum(dim=1)
        value = 0.5 * (x[:, 2] * error).flatten(1).sum(dim=1)
        return value + self.variation * self._lengths(differences(y)).flatten(1).sum(dim=1) if self.variation else value

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        if bool((x[:, 2] < 0).any()):
            raise DomainError("The mask, x[:, 2], has negative numbers: give 1 where k was measured and 0 elsewhere.")
        if not self.variation:
            heaviest = x[:, 2].flatten(1).amax(dim=1) if x[:, 2].numel() else 1.0
            return Structure(minimiser=lambda: zero_filled(x).flatten(1), lipschitz=heaviest, convex=True)
        return Structure(analysis=self._analysis(x), warm_start=lambda: zero_filled(x).flatten(1).detach(), convex=True)

    def _lengths(self, steps: Tensor) -> Tensor:
        """The norms of which TV is the sum: (B, 2, 2, H, W) → (B, 1, H, W), or (B, 2, H, W) if not isotropic."""
        if self.isotropic:
            return torch.linalg.vector_norm(steps.flatten(1, 2), dim=1, keepdim=True)
        return torch.linalg.vector_norm(steps, dim=2)

    def _analysis(self, x: Tensor) -> Analysis:
        """K y is the differences of y; ρ KᵀK + Fᴴ m F is diagonal in the Fourier domain, since they are circular."""
        height, width = self.domain("y").shape[1:]
        mask = torch.fft.ifftshift(x[:, 2], dim=(1, 2))
        # The origin of k moves to the first pixel, so that no transform in the iteration has to shift.
        known = _fft(as_complex(inverse_fourier(x[:, :2])))
        turns = (torch.arange(size, dtype=x.dtype, device=x.device) / size for size in (height, width))
        down, across = (2 - 2 * torch.cos(2 * torch.pi * turn) for turn in turns)
        curvature = down[:, None] + across
        tiny = torch.finfo(x.dtype).tiny

        def steps(v: Tensor) -> Tensor:
            return v.reshape(len(v), 2, 2, height, width)

        def near(v: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
            rho = rho[:, :, None]
            right = mask * known + rho * _fft(as_complex(gathered(steps(v))))
            weight = mask + rho * curvature
            # A frequency that nothing determines is 0: the mean, if it was not measured.
            found = torch.where(weight > 0, right / weight.where(weight > 0, 1.0), 0.0)
            error = torch.view_as_real(found - known).square().sum(dim=3)
            image = as_pair(torch.fft.ifft2(found, norm="ortho")) if len(v) else v.new_zeros(0, 2, height, width)
            return image.flatten(1), 0.5 * (mask * error).sum(dim=(1, 2))

        def prox(v: Tensor, step: Tensor) -> Tensor:
            lengths = self._lengths(steps(v))
            threshold = self.variation * step[:, :, None, None]
            kept = (1 - threshold / lengths.clamp_min(tiny)).clamp_min(0)
            return (steps(v) * kept[:, :, None]).flatten(1)

        return Analysis(
            map=lambda u: differences(u.reshape(len(u), 2, height, width)).flatten(1),
            near=near,
            norm=lambda v: self.variation * self._lengths(steps(v)).flatten(1).sum(dim=1),
            dual_norm=lambda p: self._lengths(steps(p)).flatten(1).amax(dim=1) / self.variation,
            prox=prox,
        )

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Of two pixels that are measured in full, the mean is kept and the difference shrinks by 4 λ."""
        energy = cls(1, 2, variation=0.25)
        y = torch.tensor([[3.0, 1.0], [4.0, 1.0]]).reshape(1, 2, 1, 2)
        apart = 13.0**0.5
        middle, half = y.mean(dim=3, keepdim=True), 0.5 * (1 - 1 / apart) * torch.tensor([2.0, 3.0]).reshape(1, 2, 1, 1)
        best = torch.cat([middle + half, middle - half], dim=3)
        x = torch.cat([fourier(y), torch.ones(1, 1, 1, 2)], dim=1)
        return ReferenceCase(energy, {"x": x}, "y", torch.tensor([0.5 * apart - 0.25]), best.flatten(1))


def differences(y: Tensor) -> Tensor:
    """(∇y)_i, to the next row and the next column, circular: (B, 2, H, W) → (B, 2, 2, H, W).

    >>> differences(torch.tensor([0.0, 1.0, 3.0]).reshape(1, 1, 1, 3))[0, 1, 0]
    tensor([[ 1.,  2., -3.]])
    """
    return torch.stack([y.roll(-1, dims=2) - y, y.roll(-1, dims=3) - y], dim=1)


def gathered(v: Tensor) -> Tensor:
    """∇ᵀ v, the adjoint of `differences`: (B, 2, 2, H, W) → (B, 2, H, W)."""
    down, across = v[:, 0], v[:, 1]
    return down.roll(1, dims=2) - down + across.roll(1, dims=3) - across


def zero_filled(x: Tensor) -> Tensor:
    """Fᴴ k where k was measured, with 0 for all that was not: (B, 3, H, W) → (B, 2, H, W)."""
    return inverse_fourier(x[:, :2] * (x[:, 2:] > 0))


def _fft(image: Tensor) -> Tensor:
    return torch.fft.fft2(image, norm="ortho") if len(image) else image
