"""Measures of a volume, and total variation with the wanted gap."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.data.brain import phantoms
from lowland.errors import ShapeError
from lowland.evaluation.reconstruction import best_weight, kspace_residual, least_variation, volume_measures
from lowland.training.reconstruction import kspace_batch


def test_measures_are_of_the_volume_and_of_magnitudes() -> None:
    truth = torch.zeros(2, 2, 8, 8)
    truth[0, 0], truth[1, 1] = 3.0, 4.0
    found = truth.roll(1, dims=1)
    found[0] += torch.tensor([0.0, 1.0])[:, None, None]
    measures = volume_measures(found, truth)
    assert measures["nmse"] == pytest.approx(1 / 25)
    assert measures["psnr"] == pytest.approx(10 * math.log10(16 / 0.5))
    with pytest.raises(ShapeError, match="one shape"):
        volume_measures(truth, truth[:1])


def test_the_wanted_gap_is_reached_and_noise_falls() -> None:
    images = phantoms(8, 32, 24)
    pairs = kspace_batch(images.test, (2,), 0.05, 0, torch.arange(len(images.test)))
    found = least_variation(pairs.x, 0.02, gap=1e-3)
    assert bool((found.gap >= 0).all())
    assert bool((found.gap <= 1e-3 * found.start).all())
    assert bool((found.energy <= found.start).all())
    weight, each = best_weight([1e-4, 0.02, 5.0], lambda one: least_variation(pairs.x, one).y, pairs.y)
    assert weight == 0.02
    assert len(each) == 3
    assert bool((kspace_residual(pairs.x, found.y) < 0.5).all())
