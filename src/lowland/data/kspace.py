"""Simulated magnetic resonance: some columns of the Fourier transform of an image with a phase, and noise.

Shape letters: N images, H rows, W columns. Columns of k-space are phase encodes; each takes time to measure.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.data.fourier import fourier
from lowland.errors import OptionError, ShapeError

CENTRE = 0.32
"""Share of the measured columns that lie together in the middle: 8 % of all at 4-fold and 4 % at 8-fold."""


def column_mask(width: int, acceleration: float, generator: torch.Generator) -> Tensor:
    """Which columns are measured, (W,) of booleans: the middle, and others at random (Zbontar et al. 2018, "fastMRI").

    round(0.32 W / a) columns in the middle, 8 % at a = 4 and 4 % at a = 8, and each other one with the probability by
    which W / a are expected in all.

    Args:
        width: W.
        acceleration: a, 1 or more.
        generator: draws the columns.

    Raises:
        OptionError: for an acceleration below 1, or one that leaves no column in the middle.

    >>> mask = column_mask(100, 4.0, torch.Generator().manual_seed(0))
    >>> bool(mask[46:54].all()), 15 < int(mask.sum()) < 35
    (True, True)
    """
    middle = round(CENTRE * width / acceleration) if acceleration >= 1 else 0
    if middle < 1:
        raise OptionError(
            f"An acceleration of {acceleration:g} leaves none of {width} columns in the middle: give one from 1 to "
            f"{CENTRE * width:.0f}."
        )
    if acceleration == 1:
        return torch.ones(width, dtype=torch.bool)
    share = (width / acceleration - middle) / (width - middle)
    mask = torch.rand(width, generator=generator, dtype=torch.float32) < share
    first = (width - middle + 1) // 2
    mask[first : first + middle] = True
    return mask


def smooth_phase(height: int, width: int, generator: torch.Generator) -> Tensor:
    """A phase in radians that turns slowly across the image, (H, W): a random plane and a random bowl.

    >>> smooth_phase(6, 4, torch.Generator().manual_seed(0)).shape
    torch.Size([6, 4])
    """
    down, across = (torch.linspace(-1, 1, size)[:, None] ** torch.arange(3) for size in (height, width))
    weights = torch.randn(3, 3, generator=generator, dtype=torch.float32) * torch.tensor([1.0, 0.7, 0.4])
    return down.to(weights) @ weights @ across.to(weights).T


def simulate_kspace(
    images: Tensor, acceleration: float, noise: float, generators: list[torch.Generator]
) -> tuple[Tensor, Tensor]:
    """Measure some Fourier coefficients of images with one coil: k = m (F y + e), y = image · exp(i phase).

    Args:
        images: (N, 1, H, W), magnitudes.
        acceleration: how many times fewer columns than W are measured, about; see `column_mask`.
        noise: standard deviation of real and imaginary part of e, in units of the image.
        generators: one for each image; draws its phase, its mask and its noise.

    Returns:
        x (N, 3, H, W) for `lowland.energies.KSpace`: real and imaginary part of k, and m; and y (N, 2, H, W).

    Raises:
        ShapeError: for images of another shape, or another number of generators.
        OptionError: see `column_mask`, and for negative noise.

    >>> draws = [torch.Generator().manual_seed(seed) for seed in range(2)]
    >>> x, y = simulate_kspace(torch.rand(2, 1, 8, 16), 2.0, 0.01, draws)
    >>> x.shape, y.shape
    (torch.Size([2, 3, 8, 16]), torch.Size([2, 2, 8, 16]))
    """
    if images.ndim != 4 or images.shape[1] != 1 or len(images) != len(generators):
        raise ShapeError(
            f"Images must be (N, 1, H, W) with one generator each, but they are {tuple(images.shape)} with "
            f"{len(generators)} generators."
        )
    if not noise >= 0:
        raise OptionError(f"noise must be at least 0, but it is {noise}.")
    height, width = images.shape[2:]
    phase = torch.stack([smooth_phase(height, width, draw) for draw in generators])[:, None].to(images)
    y = torch.cat([images * phase.cos(), images * phase.sin()], dim=1)
    mask = torch.stack([column_mask(width, acceleration, draw) for draw in generators]).to(images)
    mask = mask[:, None, None].expand(-1, 1, height, -1)
    error = torch.stack([torch.randn(2, height, width, generator=draw, dtype=torch.float32) for draw in generators])
    return torch.cat([mask * (fourier(y) + noise * error.to(images)), mask], dim=1), y
