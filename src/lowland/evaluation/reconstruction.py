"""How well images are reconstructed from part of their Fourier coefficients: PSNR, SSIM, NMSE of a volume (system V13).

Shape letters: N slices, H rows, W columns; complex numbers are two channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.data.fourier import fourier
from lowland.energies.base import Energy
from lowland.energies.kspace import KSpace
from lowland.errors import OptionError, ShapeError
from lowland.inference import infer
from lowland.solvers.split_bregman import SplitBregman

_AT_ONCE = 8


class Found(NamedTuple):
    """N images `y` (N, 2, H, W), and of each, (N,), all on the CPU.

    `start` is E of the zero-filled image, `energy` is E, `gap` bounds how far it is above min E; and `steps` taken.
    """

    y: Tensor
    start: Tensor
    energy: Tensor
    gap: Tensor
    steps: Tensor


def magnitude(y: Tensor) -> Tensor:
    """|y|, (N, 2, H, W) → (N, 1, H, W).

    >>> magnitude(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)).item()
    5.0
    """
    return torch.linalg.vector_norm(y, dim=1, keepdim=True)


def volume_measures(y: Tensor, truth: Tensor) -> dict[str, float]:
    """PSNR in dB, SSIM and NMSE of the magnitudes of a volume, as fastMRI has them (Zbontar et al. 2018).

    NMSE = ‖|y| − |t|‖² / ‖t‖² and PSNR = 10 log₁₀(max |t|² / mean squared error), over all slices together. SSIM is the
    mean of the slices', with windows of 7 × 7 and the volume's largest magnitude as its range.

    Args:
        y, truth: (N, 2, H, W).

    Raises:
        ShapeError: for two shapes, or slices smaller than a window.
        OptionError: without scikit-image, which computes SSIM.

    >>> truth = torch.ones(1, 2, 8, 8)
    >>> {name: round(value, 3) for name, value in volume_measures(0.9 * truth, truth).items()}
    {'psnr': 20.0, 'ssim': 0.994, 'nmse': 0.01}
    """
    if y.shape != truth.shape or min(y.shape[2:]) < 7:
        raise ShapeError(
            f"A reconstruction and its truth must have one shape (N, 2, H, W), with sides of at least 7, not "
            f"{tuple(y.shape)} and {tuple(truth.shape)}."
        )
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        raise OptionError("SSIM is computed by scikit-image: pip install 'lowland[images]'.") from None
    one, other = (magnitude(part).double().cpu()[:, 0] for part in (y, truth))
    peak, error = float(other.max()), float((one - other).square().mean())
    alike: list[Any] = [
        structural_similarity(a.numpy(), b.numpy(), data_range=peak) for a, b in zip(one, other, strict=True)
    ]
    return {
        "psnr": 10 * math.log10(peak**2 / max(error, 1e-20 * peak**2)),
        "ssim": float(sum(alike) / len(alike)),
        "nmse": error / float(other.square().mean()),
    }


def kspace_residual(x: Tensor, y: Tensor, together: bool = False) -> Tensor:
    """‖m (F y − k)‖ / ‖m k‖: how far the image is from what was measured; 0 where nothing was.

    Args:
        x: (N, 3, H, W), see `KSpace`.
        y: (N, 2, H, W).
        together: one number of all slices, in which those without signal weigh little, and not one of each, (N,).

    >>> y = torch.ones(1, 2, 4, 4)
    >>> kspace_residual(torch.cat([fourier(y), torch.ones(1, 1, 4, 4)], dim=1), 0.75 * y)
    tensor([0.2500])
    """
    known = x[:, 2:] * x[:, :2]
    error = x[:, 2:] * (fourier(y) - x[:, :2])
    apart, whole = (part.flatten(0 if together else 1).norm(dim=-1) for part in (error, known))
    return apart / whole.clamp_min(torch.finfo(x.dtype).tiny)


def least_variation(x: Tensor, variation: float, gap: float = 1e-3, max_steps: int = 1000) -> Found:
    """Images of least ½ Σ m |F y − k|² + λ TV(y), each with its duality gap.

    Args:
        x: (N, 3, H, W), see `KSpace`.
        variation: λ > 0.
        gap: a slice is solved if its gap is at most this share of E for the zero-filled image.
        max_steps: of `SplitBregman`.

    >>> x = torch.cat([fourier(torch.rand(2, 2, 8, 8)), torch.ones(2, 1, 8, 8)], dim=1)
    >>> found = least_variation(x, 0.1)
    >>> bool((found.gap >= 0).all())
    True
    """
    energy, parts = KSpace(x.shape[2], x.shape[3], variation), []
    for part in x.split(_AT_ONCE):
        with torch.no_grad():
            start = energy(x=part, y=infer(KSpace(part.shape[2], part.shape[3]), x=part, over="y").value)
        # A slice without signal starts at its minimum, 0, and asks for nothing.
        least = float(start.where(start > 0, torch.inf).min())
        solver = SplitBregman(tol=gap * least, max_steps=max_steps)
        found = infer(energy, x=part, over="y", solver=solver)
        # Rounding alone can make a gap negative.
        parts.append(Found(found.value, start, found.energy, found.residual.clamp_min(0), found.steps))
    return Found(*(torch.cat(each).cpu() for each in zip(*parts, strict=True)))


def least_energy(energy: Energy, x: Tensor) -> Tensor:
    """The images of least energy by the energy's default solver, (N, 2, H, W).

    >>> x = torch.cat([fourier(torch.ones(2, 2, 8, 8)), torch.ones(2, 1, 8, 8)], dim=1)
    >>> torch.allclose(least_energy(KSpace(8, 8), x), torch.ones(2, 2, 8, 8), atol=1e-6)
    True
    """
    return torch.cat([infer(energy, x=part, over="y").value.detach() for part in x.split(_AT_ONCE)])


def best_weight(weights: Sequence[float], made: Callable[[float], Tensor], truth: Tensor) -> tuple[float, list[float]]:
    """The weight of largest PSNR, and the PSNR of each, in dB.

    Args:
        weights: to choose from.
        made: images (N, 2, H, W) by a weight.
        truth: what they should be.

    >>> best_weight([0.5, 1.0], lambda weight: weight * torch.ones(1, 2, 8, 8), torch.ones(1, 2, 8, 8))[0]
    1.0
    """
    found = [volume_measures(made(weight), truth)["psnr"] for weight in weights]
    return weights[found.index(max(found))], found
