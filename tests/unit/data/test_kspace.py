"""Masks of fastMRI and simulated k-space."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lowland.data.fourier import inverse_fourier
from lowland.data.kspace import column_mask, simulate_kspace, smooth_phase
from lowland.errors import LowlandError, OptionError, ShapeError


@pytest.mark.parametrize(("acceleration", "middle"), [(4.0, 0.08), (8.0, 0.04)])
@pytest.mark.parametrize("width", [320, 181])
def test_the_middle_is_measured_and_the_share_is_as_wanted(acceleration: float, middle: float, width: int) -> None:
    """The mean of 400 draws of W columns is within five standard deviations of 1 / acceleration."""
    draw = torch.Generator().manual_seed(0)
    masks = torch.stack([column_mask(width, acceleration, draw) for _ in range(400)]).float()
    always = int((masks.mean(dim=0) == 1).sum())
    assert always == round(middle * width)
    assert bool((masks.mean(dim=0)[width // 2 - 2 : width // 2 + 3] == 1).all())
    share = 1 / acceleration
    assert abs(float(masks.mean()) - share) < 5 * (share * (1 - share) / (400 * width)) ** 0.5


def test_everything_is_measured_without_acceleration() -> None:
    assert bool(column_mask(20, 1.0, torch.Generator()).all())


def test_without_noise_all_of_kspace_gives_the_image() -> None:
    images = torch.rand(2, 1, 9, 10, generator=torch.Generator().manual_seed(0))
    x, y = simulate_kspace(images, 1.0, 0.0, [torch.Generator().manual_seed(seed) for seed in range(2)])
    torch.testing.assert_close(inverse_fourier(x[:, :2]), y, rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.linalg.vector_norm(y, dim=1, keepdim=True), images)


def test_noise_has_the_wanted_size_where_measured() -> None:
    """Of 60 × 80 pairs of numbers the standard deviation is known to 1 / √(2 · 9600), here five times that."""
    x, _ = simulate_kspace(torch.zeros(1, 1, 60, 80), 1.0, 0.3, [torch.Generator().manual_seed(0)])
    assert float(x[:, :2].std()) == pytest.approx(0.3, rel=5 / (2 * 9600) ** 0.5)
    x, _ = simulate_kspace(torch.zeros(1, 1, 60, 80), 4.0, 0.3, [torch.Generator().manual_seed(0)])
    assert float((x[:, :2] * (1 - x[:, 2:])).abs().max()) == 0


def test_the_phase_is_smooth() -> None:
    phase = smooth_phase(200, 100, torch.Generator().manual_seed(3))
    assert float(phase.diff(dim=0).abs().max()) < 0.1
    assert float(phase.diff(dim=1).abs().max()) < 0.2


IMAGES = torch.ones(1, 1, 16, 16)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda draw: column_mask(100, 0.5, draw), OptionError, "from 1 to 32"),
        (lambda draw: column_mask(100, 90.0, draw), OptionError, "in the middle"),
        (lambda draw: simulate_kspace(IMAGES[0], 2.0, 0.1, [draw]), ShapeError, "one generator each"),
        (lambda draw: simulate_kspace(IMAGES, 2.0, 0.1, []), ShapeError, "0 generators"),
        (lambda draw: simulate_kspace(IMAGES, 2.0, -0.1, [draw]), OptionError, "noise"),
    ],
)
def test_what_cannot_be(call: Callable[[torch.Generator], object], kind: type[LowlandError], words: str) -> None:
    with pytest.raises(kind, match=words):
        call(torch.Generator().manual_seed(0))
