"""Natural images for convolutional sparse coding: contrast normalisation, faded borders, random windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.natural import photographs
from lowland.errors import OptionError, ShapeError

_REACH, _WIDTH = 9, 4.0
"""Radius and standard deviation of the Gaussian, in pixels."""


def normalise_contrast(images: Tensor) -> Tensor:
    """Local contrast normalisation: (y − blur y) / max(s, mean s).

    s² is the blurred mean over channels of (y − blur y)², and its mean is that of the image. The blur is a Gaussian of
    4 pixels. Source: Jarrett, Kavukcuoglu, Ranzato & LeCun, "What is the best multi-stage architecture for object
    recognition?" (2009).

    Args:
        images: (N, C, H, W), at least 10 pixels high and wide.

    Raises:
        ShapeError: for other shapes.

    >>> normalise_contrast(torch.ones(1, 1, 32, 32)).abs().max() < 1e-4
    tensor(True)
    """
    if images.ndim != 4 or min(images.shape[2:]) <= _REACH:
        raise ShapeError(
            f"Images must be (N, C, H, W) with more than {_REACH} pixels to a side, not {tuple(images.shape)}."
        )
    reach = torch.arange(-_REACH, _REACH + 1)
    line = torch.exp(-reach.square() / (2 * _WIDTH**2))
    line = (line / line.sum()).to(images)

    def blurred(y: Tensor) -> Tensor:
        flat = functional.pad(y.flatten(0, 1)[:, None], (_REACH,) * 4, mode="reflect")
        flat = functional.conv2d(functional.conv2d(flat, line[None, None, None]), line[None, None, :, None])
        return flat[:, 0].reshape(y.shape)

    # The mean is subtracted first, or rounding alone would give a flat image contrast.
    images = images - images.mean(dim=(2, 3), keepdim=True)
    centred = images - blurred(images)
    contrast = blurred(centred.square().mean(dim=1, keepdim=True)).clamp_min(0).sqrt()
    return centred / torch.maximum(contrast, contrast.mean(dim=(1, 2, 3), keepdim=True)).clamp_min(1e-4)


def fade(images: Tensor, margin: int) -> Tensor:
    """(…, H, W) faded to 0 over `margin` pixels at each border, by sin²; for filters that wrap around.

    >>> fade(torch.ones(1, 6), 1)
    Traceback (most recent call last):
        ...
    lowland.errors.ShapeError: Images of 1 × 6 are too small for two margins of 1.
    """
    height, width = images.shape[-2:]
    if min(height, width) < 2 * margin:
        raise ShapeError(f"Images of {height} × {width} are too small for two margins of {margin}.")
    edge = torch.sin(torch.pi / 2 * (torch.arange(margin) + 0.5) / margin).square()
    ramps = [torch.cat([edge, torch.ones(size - 2 * margin), edge.flip(0)]).to(images) for size in (height, width)]
    return images * ramps[1] * ramps[0][:, None]


def draw_windows(
    images: Sequence[Tensor], size: int, count: int, generator: torch.Generator, min_contrast: float = 0.0
) -> Tensor:
    """Windows at random positions, from the images in turn: (count, C, size, size).

    Args:
        images: each (C, H, W).
        size: side of a window.
        count: number of windows.
        generator: draws the positions.
        min_contrast: minimum standard deviation of a window, to exclude flat sky. After 20 draws per window the rest
            are taken without this check.

    Raises:
        OptionError: if a window does not fit.

    >>> draw_windows([torch.rand(1, 9, 7)], 4, 3, torch.Generator().manual_seed(0)).shape
    torch.Size([3, 1, 4, 4])
    """
    for image in images:
        if min(image.shape[1:]) < size:
            raise OptionError(f"Windows of {size} × {size} do not fit into an image of {tuple(image.shape[1:])}.")
    found, draws = [], 0
    while len(found) < count:
        image = images[len(found) % len(images)]
        top, left = (int(torch.randint(n - size + 1, (), generator=generator)) for n in image.shape[1:])
        piece, draws = image[:, top : top + size, left : left + size], draws + 1
        if float(piece.std()) >= min_contrast or draws > 20 * count:
            found.append(piece)
    return torch.stack(found)


def contrast_windows(
    size: int,
    count: int,
    generator: torch.Generator,
    part: Literal["train", "test"] = "train",
    min_contrast: float = 0.5,
    data_dir: str | Path | None = None,
) -> Tensor:
    """Windows of photographs whose local contrast was normalised, (count, 1, size, size), for convolutional filters.

    Args:
        size: side of a window.
        count: how many.
        generator: draws the places.
        part: from the left three quarters of each photograph, or from the right quarter, so that the two never overlap.
        min_contrast: least standard deviation of a window, see `draw_windows`; the photographs have about 1.
        data_dir: folder of your own photographs, instead of scikit-learn's two.

    Raises:
        OptionError: if a window does not fit.
        DataError: for missing or damaged photographs.

    >>> contrast_windows(16, 5, torch.Generator().manual_seed(0)).shape
    torch.Size([5, 1, 16, 16])
    """
    parts = []
    for grey_HW in photographs(data_dir).values():
        flat = normalise_contrast(grey_HW[None, None])[0]
        border = flat.shape[-1] * 3 // 4
        parts.append(flat[..., :border] if part == "train" else flat[..., border:])
    return draw_windows(parts, size, count, generator, min_contrast)
