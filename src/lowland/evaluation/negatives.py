"""Negatives, points off the data, for evaluating an energy: no method is trained on them.

Each is a function of held-out data, statistics of the training data and a generator. None is clipped to the range of
the data, so values outside it may reveal the noise; this is the same for every energy. N points of D coordinates.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError


class Statistics(NamedTuple):
    """Statistics of training data, in double precision.

    `mean`, `deviation` (standard deviation), `low` and `high` per coordinate, in the shape of one sample; `covariance`
    (D, D).
    """

    mean: Tensor
    deviation: Tensor
    covariance: Tensor
    low: Tensor
    high: Tensor


def statistics(train: Tensor) -> Statistics:
    """Mean, standard deviation, covariance and range of training data (N, ...).

    Raises:
        ShapeError: if there are fewer than two samples.

    >>> statistics(torch.tensor([[0.0, 0.0], [2.0, 4.0]])).deviation
    tensor([1., 2.], dtype=torch.float64)
    """
    if train.ndim < 2 or train.shape[0] < 2:
        raise ShapeError(f"Statistics need at least two samples, shape (N, ...), not {tuple(train.shape)}.")
    flat_ND = train.detach().double().flatten(1)
    shape = train.shape[1:]
    covariance = torch.cov(flat_ND.T, correction=0).reshape(flat_ND.shape[1], flat_ND.shape[1])
    parts = (flat_ND.mean(0), flat_ND.std(0, correction=0), flat_ND.amin(0), flat_ND.amax(0))
    mean, deviation, low, high = (part.reshape(shape) for part in parts)
    return Statistics(mean, deviation, covariance, low, high)


def _normal(test: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(test.shape, generator=generator, dtype=torch.float64).to(test.device)


def pixel_noise(test: Tensor, train: Statistics, generator: torch.Generator) -> Tensor:
    """Independent Gaussian noise with the mean and variance of each coordinate, not clipped; as many points as `test`.

    >>> train = statistics(torch.rand(50, 3, generator=torch.Generator().manual_seed(0)))
    >>> pixel_noise(torch.zeros(4, 3), train, torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3])
    """
    return (train.mean + train.deviation * _normal(test, generator)).to(test)


def covariance_noise(test: Tensor, train: Statistics, generator: torch.Generator) -> Tensor:
    """A Gaussian with the mean and full covariance of the data, not clipped: hard, since it matches to second order."""
    values_D, vectors_DD = torch.linalg.eigh(train.covariance)
    root_DD = vectors_DD * values_D.clamp_min(0).sqrt()
    noise_ND = _normal(test, generator).flatten(1) @ root_DD.T
    return (train.mean + noise_ND.reshape(test.shape)).to(test)


def uniform_box(test: Tensor, train: Statistics, generator: torch.Generator) -> Tensor:
    """Uniform over the box of the training data, widened by a tenth of its width on each side."""
    uniform = torch.rand(test.shape, generator=generator, dtype=torch.float64).to(test.device)
    return (train.low + (train.high - train.low) * (1.2 * uniform - 0.1)).to(test)


def perturbed(test: Tensor, train: Statistics, generator: torch.Generator, scale: float = 0.25) -> Tensor:
    """Small steps off the data, y + scale · s · e, with e standard normal and s² the mean variance of a coordinate.

    The mean square of a step is scale² times the mean square distance of the data from their mean, in any dimension.

    Args:
        scale: length of a step relative to the spread of the data; a quarter by default.

    Raises:
        OptionError: for a scale that is not positive.
    """
    if not 0 < scale < math.inf:
        raise OptionError(f"The scale of a perturbation must be positive, but it is {scale}.")
    spread = train.deviation.square().mean().sqrt()
    return (test + scale * spread * _normal(test, generator)).to(test)


def shuffled_patches(
    test: Tensor,
    train: Statistics,
    generator: torch.Generator,
    image_shape: tuple[int, int] | None = None,
    grid: int = 4,
) -> Tensor:
    """Each image cut into grid × grid patches (sixteen), which are put back in random order, never in their own.

    Uniform over all permutations except the identity. The multiset of pixel values stays the same; swapping identical
    patches changes nothing.

    Args:
        test: (N, ..., H, W), or (N, H · W) with `image_shape`.
        image_shape: (H, W) of flat images; both must be divisible by `grid`.

    Raises:
        ShapeError: for data that are not images, or whose sides the grid does not divide.
    """
    shape = tuple(test.shape[-2:]) if image_shape is None and test.ndim > 2 else image_shape
    if shape is None or test[0].numel() % math.prod(shape) or any(side % grid for side in shape):
        raise ShapeError(
            f"Patches can be shuffled in images whose sides are divisible by {grid}, but the data have shape "
            f"{tuple(test.shape)} and image_shape is {image_shape}. For flat images give image_shape=(H, W)."
        )
    count, (height, width) = test.shape[0], shape
    cells = test.reshape(count, -1, grid, height // grid, grid, width // grid).permute(0, 2, 4, 1, 3, 5)
    cells = cells.reshape(count, grid * grid, -1)
    order = torch.rand(count, grid * grid, generator=generator, dtype=torch.float32).argsort(dim=1)
    identity = torch.arange(grid * grid)
    while bool((same := (order == identity).all(dim=1)).any()):
        again = int(same.sum()), grid * grid
        order[same] = torch.rand(again, generator=generator, dtype=torch.float32).argsort(dim=1)
    moved = cells.gather(1, order.to(test.device)[:, :, None].expand_as(cells))
    moved = moved.reshape(count, grid, grid, -1, height // grid, width // grid).permute(0, 3, 1, 4, 2, 5)
    return moved.reshape(test.shape)


def make_negatives(
    test: Tensor,
    train: Tensor,
    generator: torch.Generator | None = None,
    image_shape: tuple[int, int] | None = None,
    other: Tensor | None = None,
    scale: float = 0.25,
) -> dict[str, Tensor]:
    """All negatives applicable to the data, by name, as many of each kind as there are held-out samples.

    Images: (a) `pixel_noise`, (b) `shuffled_patches`, (c) `other_data` where given, (d) `perturbed`,
    (e) `covariance_noise`.
    Vectors: (a) `pixel_noise`, `uniform_box`, (c), (d), (e).

    Args:
        test: (N, ...) held-out data.
        train: (M, ...) training data, for their statistics.
        generator: by default one with seed 0.
        image_shape: (H, W) if the data are flat images.
        other: (K, ...) another data set in the same shape, for column (c).
        scale: of `perturbed`.

    >>> points = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    >>> list(make_negatives(points, points))
    ['pixel_noise', 'uniform_box', 'perturbed', 'covariance_noise']
    """
    if test.shape[1:] != train.shape[1:]:
        raise ShapeError(f"Test samples have shape {tuple(test.shape[1:])}, training samples {tuple(train.shape[1:])}.")
    if other is not None and other.shape[1:] != test.shape[1:]:
        raise ShapeError(f"The other data have shape {tuple(other.shape[1:])}, not {tuple(test.shape[1:])}.")
    known, generator = statistics(train), generator or torch.Generator().manual_seed(0)
    found = {"pixel_noise": pixel_noise(test, known, generator)}
    if image_shape is not None or test.ndim > 2:
        found["shuffled_patches"] = shuffled_patches(test, known, generator, image_shape)
    else:
        found["uniform_box"] = uniform_box(test, known, generator)
    if other is not None:
        found["other_data"] = other.to(test)
    found["perturbed"] = perturbed(test, known, generator, scale)
    found["covariance_noise"] = covariance_noise(test, known, generator)
    return found
