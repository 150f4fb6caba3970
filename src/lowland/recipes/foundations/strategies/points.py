"""The data of the comparison: points in the plane and images, each with the negatives of the energy gap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.data import load, patches, toy
from lowland.evaluation import make_negatives


class Points(NamedTuple):
    """One data set as vectors: `train` and held-out `test`, (N, n), with the negatives of the energy gap by name."""

    name: str
    train: Tensor
    test: Tensor
    negatives: dict[str, Tensor]
    shape: tuple[int, ...]


def plane_points(name: str, generator: torch.Generator) -> Points:
    """A set of points in the plane."""
    train, test = toy(name, 2000, generator), toy(name, 1000, generator)
    return Points(name, train, test, make_negatives(test, train, generator), (2,))


def image_points(name: str, generator: torch.Generator) -> Points:
    """Images, with at most 10,000 for training and 1000 held out."""
    data = load(name)
    train, test = data.train.flatten(1), data.test.flatten(1)[:1000]
    if len(train) > 10_000:
        train = train[torch.randperm(len(train), generator=generator)[:10_000]]
    height, width = data.test.shape[-2:]
    # Patches of photographs, brought to the mean and contrast of the images, are the other data (c).
    other = patches(size=height, count=len(test), generator=generator, unit_norm=False)
    other = train.mean() + (other - other.mean()) * (train.std() / other.std())
    negatives = make_negatives(test, train, generator, image_shape=(height, width), other=other)
    return Points(name, train, test, negatives, (height, width))
