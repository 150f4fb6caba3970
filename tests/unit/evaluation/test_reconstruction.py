"""Measures of a volume, and total variation with the wanted gap."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.data.brain import phantoms
from lowland.data.fourier import fourier
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


def test_a_slice_without_signal_costs_no_rounds_and_weighs_nothing() -> None:
    images = phantoms(8, 32, 24)
    x = kspace_batch(images.test, (2,), 0.05, 0, torch.arange(len(images.test))).x
    alone = least_variation(x, 0.02, gap=1e-3)
    found = least_variation(torch.cat([x, 0 * x[:1]]), 0.02, gap=1e-3)
    assert int(found.steps.max()) == int(alone.steps.max()) < 1000
    torch.testing.assert_close(found.y[:-1], alone.y)
    assert (float(found.energy[-1]), float(found.gap[-1]), float(found.y[-1].abs().max())) == (0, 0, 0)
    empty = least_variation(0 * x, 0.02)
    assert int(empty.steps.max()) <= 10
    assert not empty.y.any()


def test_the_residual_of_all_slices_is_not_that_of_the_worst() -> None:
    """Errors of 0.1 and 1 of slices whose k-space has the norms 4 and 3e-3: √(0.4² + 0.003²) / √(4² + 0.003²)."""
    y = torch.ones(2, 2, 2, 4) * torch.tensor([1.0, 0.003 / 4])[:, None, None, None]
    x = torch.cat([fourier(y), torch.ones(2, 1, 2, 4)], dim=1)
    off = torch.tensor([0.9, 0.0])[:, None, None, None] * y
    torch.testing.assert_close(kspace_residual(x, off), torch.tensor([0.1, 1.0]))
    together = math.hypot(0.4, 0.003) / math.hypot(4, 0.003)
    assert float(kspace_residual(x, off, together=True)) == pytest.approx(together, rel=1e-5)
