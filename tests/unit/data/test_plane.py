from __future__ import annotations

import math

import pytest
import torch

from lowland.data import TOYS, toy
from lowland.data.plane import SPIRAL_LENGTH, distance_to
from lowland.errors import OptionError


@pytest.mark.parametrize("name", TOYS)
def test_centred_of_about_unit_scale_and_repeatable(name):
    before = torch.get_rng_state()
    points = toy(name, 20_000, torch.Generator().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())
    assert points.shape == (20_000, 2)
    assert points.dtype == torch.float32
    # Deviations are below 1.5 here, so the mean of 20,000 has a standard error below 0.011.
    assert bool((points.mean(0).abs() < 0.05).all())
    assert 0.9 < points.square().mean().sqrt() < 1.2
    assert torch.equal(points, toy(name, 20_000, torch.Generator().manual_seed(1)))
    assert not torch.equal(points, toy(name, 20_000, torch.Generator().manual_seed(2)))


def test_points_without_noise_satisfy_the_equations():
    def clean(name):
        return toy(name, 500, noise=0.0).double().unbind(1)

    first, second = clean("ellipse")
    assert torch.allclose((first / 2) ** 2 + second**2, torch.ones(500, dtype=torch.float64), atol=1e-6)

    first, second = clean("spiral")
    first, second = first + 1 / (2 * math.pi**2), second - 1 / math.pi
    turns = torch.hypot(first, second) - torch.atan2(second, first) / (2 * math.pi)
    assert torch.allclose(turns, turns.round(), atol=1e-5)

    first, second = clean("two_moons")
    first, second = first / math.sqrt(2) + 0.5, second / math.sqrt(2) + 0.25
    upper = (torch.hypot(first, second) - 1).abs()
    lower = (torch.hypot(first - 1, second - 0.5) - 1).abs()
    assert float(torch.minimum(upper, lower).max()) < 1e-6

    radius = torch.hypot(*clean("rings")) / 0.6
    assert torch.allclose(radius, radius.round(), atol=1e-5)

    first, second = clean("gaussian_mixture")
    eighths = torch.atan2(second, first) / (math.pi / 4)
    assert torch.allclose(eighths, eighths.round(), atol=1e-5)


def test_noise_is_the_standard_deviation_that_was_asked_for():
    generator = torch.Generator
    moved = toy("rings", 50_000, generator().manual_seed(0), noise=0.3) - toy(
        "rings", 50_000, generator().manual_seed(0), noise=0.0
    )
    # Relative standard error of a standard deviation from 100,000 numbers: 1/sqrt(200,000) = 0.0022.
    assert float(moved.std()) == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "spirals"}, "Did you mean 'spiral'"),
        ({"name": "rings", "count": 0}, "count of at least 1"),
        ({"name": "rings", "noise": -1.0}, "no negative noise"),
        ({"name": "rings", "noise": math.nan}, "no negative noise"),
    ],
)
def test_bad_arguments_are_refused(arguments, words):
    with pytest.raises(OptionError, match=words):
        toy(**arguments)


def test_the_length_is_that_of_the_spiral():
    """The curve by 100,001 points of its formula: chords fall short of arcs by less than 1e-6 here."""
    angle = torch.linspace(0, 4 * math.pi, 100_001, dtype=torch.float64)
    curve = angle[:, None] / (2 * math.pi) * torch.stack([angle.cos(), angle.sin()], dim=1)
    assert (curve[1:] - curve[:-1]).norm(dim=1).sum().item() == pytest.approx(SPIRAL_LENGTH, abs=5e-3)


def test_distance_to_a_set():
    """20,000 points of a curve of length 12.86 lie so close that a point of it is 0.01 from one of them at most."""
    assert distance_to("spiral", toy("spiral", 50, torch.Generator().manual_seed(3), noise=0.0)).max() < 0.01
    outside = torch.tensor([[0.0, 3.0], [-4.0, 0.0]])
    assert distance_to("ellipse", outside).tolist() == pytest.approx([2.0, 2.0], abs=1e-4)
