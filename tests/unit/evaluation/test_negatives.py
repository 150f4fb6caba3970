"""Negatives: their moments, that patches really move, that nothing global changes."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError, ShapeError
from lowland.evaluation import (
    covariance_noise,
    make_negatives,
    perturbed,
    pixel_noise,
    shuffled_patches,
    statistics,
    uniform_box,
)

COUNT = 20_000


@pytest.fixture
def train(generator: torch.Generator) -> torch.Tensor:
    mix = torch.tensor([[1.0, 0.8, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 3.0]])
    return torch.randn(5000, 3, generator=generator) @ mix + torch.tensor([1.0, -2.0, 0.5])


def test_noises_have_the_moments_of_the_data(train: torch.Tensor, generator: torch.Generator) -> None:
    known, like = statistics(train), torch.zeros(COUNT, 3)
    plain = pixel_noise(like, known, generator).double()
    full = covariance_noise(like, known, generator).double()
    # Five standard errors of a mean, σ/√N, and of a covariance, at most √2 σ²/√N.
    for noise in (plain, full):
        assert ((noise.mean(0) - known.mean).abs() < 5 * known.deviation / COUNT**0.5).all()
    room = 5 * 2**0.5 * torch.outer(known.deviation, known.deviation) / COUNT**0.5
    assert ((torch.cov(full.T) - known.covariance).abs() < room).all()
    assert ((torch.cov(plain.T) - torch.diag(known.deviation**2)).abs() < room).all()
    assert known.covariance[0, 1] > 2 * room[0, 1]


def test_the_box_is_that_of_the_data_and_a_tenth(train: torch.Tensor, generator: torch.Generator) -> None:
    known = statistics(train)
    box = uniform_box(torch.zeros(COUNT, 3), known, generator).double()
    width = known.high - known.low
    assert (box >= known.low - 0.1 * width - 1e-5).all()
    assert (box <= known.high + 0.1 * width + 1e-5).all()
    assert (box.amin(0) < known.low).all()


@pytest.mark.parametrize("scale", [0.1, 0.25, 1.0])
def test_perturbations_have_the_stated_length(train: torch.Tensor, generator: torch.Generator, scale: float) -> None:
    known = statistics(train)
    step = perturbed(train, known, generator, scale).double() - train.double()
    expected = scale**2 * known.covariance.trace()
    # ‖e‖² of D = 3 dimensions has standard deviation √(2/3) of its mean; five standard errors of N samples.
    assert step.square().sum(1).mean() == pytest.approx(float(expected), rel=5 * (2 / 3) ** 0.5 / len(train) ** 0.5)


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8), (3, 8, 12)])
def test_shuffled_patches_move_and_keep_their_pixels(shape: tuple[int, ...], generator: torch.Generator) -> None:
    # All pixels of an image differ, so that each image must change, and whole patches can be found again.
    images = torch.rand(300, *shape, generator=generator)
    before = images.clone()
    moved = shuffled_patches(images, statistics(images), generator)
    assert torch.equal(images, before)
    assert torch.equal(moved.flatten(1).sort(dim=1).values, images.flatten(1).sort(dim=1).values)
    assert not (moved == images).flatten(1).all(dim=1).any()
    height, width = shape[-2] // 4, shape[-1] // 4
    corner = moved[0, ..., :height, :width]
    places = [
        images[0, ..., r * height : (r + 1) * height, c * width : (c + 1) * width] for r in range(4) for c in range(4)
    ]
    assert sum(torch.equal(corner, place) for place in places) == 1


def test_two_patches_are_always_swapped(generator: torch.Generator) -> None:
    """Half of all orders of two are the identity: every one of them must be drawn again."""
    images = torch.arange(4.0).reshape(1, 2, 2).expand(500, 2, 2)
    moved = shuffled_patches(images, statistics(images), generator, grid=2)
    assert not (moved == images).flatten(1).all(dim=1).any()


def test_flat_images_are_shuffled_as_images(generator: torch.Generator) -> None:
    images = torch.rand(20, 64, generator=generator)
    first = shuffled_patches(images, statistics(images), torch.Generator().manual_seed(3), image_shape=(8, 8))
    square = images.reshape(20, 8, 8)
    second = shuffled_patches(square, statistics(square), torch.Generator().manual_seed(3))
    assert torch.equal(first.reshape(20, 8, 8), second)


def test_all_kinds_that_suit_the_data(generator: torch.Generator) -> None:
    state = torch.random.get_rng_state()
    images = torch.rand(30, 1, 8, 8, generator=generator)
    found = make_negatives(images, images, other=1 - images)
    assert list(found) == ["pixel_noise", "shuffled_patches", "other_data", "perturbed", "covariance_noise"]
    assert all(value.shape == images.shape and value.dtype == images.dtype for value in found.values())
    again = make_negatives(images, images, other=1 - images)
    assert all(torch.equal(found[name], again[name]) for name in found)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bad_input(generator: torch.Generator) -> None:
    with pytest.raises(ShapeError, match="two samples"):
        statistics(torch.zeros(1, 2))
    known = statistics(torch.rand(5, 9, generator=generator))
    with pytest.raises(ShapeError, match="divisible by 4"):
        shuffled_patches(torch.zeros(5, 9), known, generator)
    with pytest.raises(ShapeError, match="divisible by 4"):
        shuffled_patches(torch.zeros(5, 9), known, generator, image_shape=(3, 3))
    with pytest.raises(OptionError, match="must be positive"):
        perturbed(torch.zeros(5, 9), known, generator, scale=0.0)
    with pytest.raises(ShapeError, match="Test samples"):
        make_negatives(torch.zeros(5, 9), torch.zeros(5, 8))
    with pytest.raises(ShapeError, match="other data"):
        make_negatives(torch.zeros(5, 9), torch.zeros(5, 9), other=torch.zeros(5, 8))
