"""Shared by all views: checks of options and samples, two views of a sample, and options as text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.tensors import PerSampleRNG


def two_views(views: Callable[[Tensor, PerSampleRNG], Tensor], samples: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two views of each sample, (N, *shape) both, drawn by this seed and the next one.

    >>> from lowland.data.views import VectorViews
    >>> a, b = two_views(VectorViews(noise=0.1), torch.zeros(4, 3))
    >>> a.shape == b.shape, bool((a == b).all())
    (True, False)
    """
    ids = torch.arange(len(samples), device=samples.device)
    return views(samples, PerSampleRNG(seed, ids)), views(samples, PerSampleRNG(seed + 1, ids))


def changed_options(views: Any, usual: Any) -> str:
    """Options of views that other views lack or have another value of, as text; "none" where there are none.

    >>> from lowland.data.views import ImageViews, SeriesViews
    >>> changed_options(SeriesViews(mask=1.0), SeriesViews())
    'mask 1.0'
    >>> changed_options(ImageViews.crop_only(), ImageViews.none())
    'crop 0.08 to 1'
    """
    known = {field.name: getattr(usual, field.name) for field in dataclasses.fields(usual)}
    own = {field.name: getattr(views, field.name) for field in dataclasses.fields(views)}
    texts = [f"{name} {_text(value)}" for name, value in own.items() if name not in known or known[name] != value]
    return ", ".join(texts) or "none"


def _text(value: Any) -> str:
    if dataclasses.is_dataclass(value):  # such as the views of each patch of a jigsaw
        return f"({changed_options(value, type(value).none())})"  # pyright: ignore[reportAttributeAccessIssue]
    return f"{value[0]:.3g} to {value[1]:.3g}" if isinstance(value, tuple) else str(value)


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
