"""Checks shared by all views: options when the views are created, and samples at every call."""

from __future__ import annotations

import math

from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.tensors import PerSampleRNG


def check_probabilities(**options: float) -> None:
    """Raise an OptionError for a value outside [0, 1]."""
    for name, value in options.items():
        if not 0 <= value <= 1:
            raise OptionError(f"{name} is a probability and must lie in [0, 1], but it is {value}.")


def check_strengths(least: float = 0.0, most: float = math.inf, **options: float) -> None:
    """Raise an OptionError for a number outside [least, most]."""
    for name, value in options.items():
        if not (least <= value <= most and math.isfinite(value)):
            above = "" if math.isinf(most) else f" and at most {most:g}"
            raise OptionError(f"{name} must be at least {least:g}{above}, but it is {value}.")


def check_range(name: str, ends: tuple[float, float], most: float = math.inf) -> None:
    """Raise an OptionError unless the two ends are positive, ascending, and at most `most`."""
    if len(ends) != 2 or not 0 < ends[0] <= ends[1] <= most or math.isinf(ends[1]):
        above = "" if math.isinf(most) else f", at most {most:g}"
        raise OptionError(f"{name} must be two numbers above zero in ascending order{above}, but it is {ends}.")


def check_samples(samples: Tensor, noise: PerSampleRNG, shape: str) -> None:
    """Raise a ShapeError unless the samples are numbers of the given shape, such as "(B, C, H, W)", with a stream each.

    >>> import torch
    >>> check_samples(torch.zeros(2, 3), PerSampleRNG(0, torch.arange(4)), "(B, D)")
    Traceback (most recent call last):
    lowland.errors.ShapeError: There are 2 samples and 4 streams of random numbers: a sample needs one of its own.
    """
    if samples.ndim != shape.count(",") + 1 or not samples.is_floating_point() or not all(samples.shape[1:]):
        raise ShapeError(
            f"These views take floating-point samples {shape}, but these are {samples.dtype} {tuple(samples.shape)}."
        )
    if len(samples) != len(noise.sample_ids):
        raise ShapeError(
            f"There are {len(samples)} samples and {len(noise.sample_ids)} streams of random numbers: a sample "
            "needs one of its own."
        )
