"""Data sets for the energy gap: vectors to train on, held-out ones, and the negatives that belong to them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.data import load, patches, toy
from lowland.evaluation.negatives import make_negatives


class GapData(NamedTuple):
    """One data set as vectors: `train` and held-out `test`, (N, n), with the negatives of the energy gap by name.

    `shape` is that of one sample before it was made flat.
    """

    name: str
    train: Tensor
    test: Tensor
    negatives: dict[str, Tensor]
    shape: tuple[int, ...]


def plane_gap_data(name: str, generator: torch.Generator) -> GapData:
    """A set of points in the plane, by a name of `lowland.data.toy`: 2000 for training and 1000 held out.

    >>> data = plane_gap_data("spiral", torch.Generator().manual_seed(0))
    >>> data.train.shape, sorted(data.negatives)[0]
    (torch.Size([2000, 2]), 'covariance_noise')
    """
    train, test = toy(name, 2000, generator), toy(name, 1000, generator)
    return GapData(name, train, test, make_negatives(test, train, generator), (2,))


def image_gap_data(name: str, generator: torch.Generator) -> GapData:
    """Images of one channel by the name of their data set, at most 10,000 for training and 1000 held out.

    >>> data = image_gap_data("digits", torch.Generator().manual_seed(0))
    >>> data.test.shape, data.shape, "other_data" in data.negatives
    (torch.Size([300, 64]), (8, 8), True)
    """
    data = load(name)
    train, test = data.train.flatten(1), data.test.flatten(1)[:1000]
    if len(train) > 10_000:
        train = train[torch.randperm(len(train), generator=generator)[:10_000]]
    height, width = data.test.shape[-2:]
    # Patches of photographs, brought to the mean and contrast of the images, are the other data (c).
    other = patches(size=height, count=len(test), generator=generator, unit_norm=False)
    other = train.mean() + (other - other.mean()) * (train.std() / other.std())
    negatives = make_negatives(test, train, generator, image_shape=(height, width), other=other)
    return GapData(name, train, test, negatives, (height, width))
