"""Alignment against transforms that are known, and an energy that never rises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lowland.data.alignment import Alignment, moved
from lowland.errors import OptionError, ShapeError


def pattern(height: int = 24, width: int = 20) -> Tensor:
    """Smooth, without symmetry, (1, 1, H, W)."""
    y, x = torch.meshgrid(torch.linspace(-1.2, 1.2, height), torch.linspace(-1, 1, width), indexing="ij")
    spots = ((0.3, 0.2, 0.25, 1.0), (-0.4, -0.5, 0.3, 0.7), (-0.3, 0.6, 0.2, -0.6))
    return sum(h * torch.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * s**2)) for a, b, s, h in spots)[None, None].double()


def test_a_turn_by_a_right_angle_and_a_shift_by_a_pixel_are_exact() -> None:
    image = torch.rand(1, 1, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turned = moved(image, torch.tensor([[0.0, 0.0, 0.0, math.pi / 2]], dtype=torch.float64))
    torch.testing.assert_close(turned, image.rot90(1, (2, 3)))
    shifted = moved(image, torch.tensor([[0.0, 0.5, 0.0, 0.0]], dtype=torch.float64))  # half of the half side: a pixel
    torch.testing.assert_close(shifted[:, :, :-1], image[:, :, 1:])
    twice = moved(image, torch.tensor([[0.0, 0.0, math.log(2), 0.0]], dtype=torch.float64))
    torch.testing.assert_close(twice[0, 0, ::4, ::4], image[0, 0, 1:4:2, 1:4:2])  # corners come from half as far


def test_known_transforms_are_undone() -> None:
    draw = torch.Generator().manual_seed(1)
    true = 0.08 * torch.randn(30, 4, dtype=torch.float64, generator=draw)
    base = pattern()
    images = 0.4 * moved(base.expand(30, -1, -1, -1), true) + 0.1  # in another light
    alignment = Alignment(images, stiffness=1e-4)
    before, after = (one.std(dim=0).mean() for one in (images, alignment(images)))
    assert float(after) < 0.2 * float(before)
    # What moves each onto the others is its own transform undone: turns and sizes add.
    found = alignment.transforms(images)
    for part in (2, 3):
        total = found[:, part] + true[:, part]
        assert float(total.std()) < 0.1 * float(true[:, part].std())


def test_the_energy_never_rises_and_an_image_does_not_depend_on_others() -> None:
    draw = torch.Generator().manual_seed(2)
    images = moved(pattern().expand(8, -1, -1, -1), 0.1 * torch.randn(8, 4, dtype=torch.float64, generator=draw))
    images = images + 0.05 * torch.rand(images.shape, dtype=torch.float64, generator=draw)
    alignment = Alignment(images)
    found = alignment.transforms(images)
    assert bool((alignment.energy(images, found) <= alignment.energy(images, torch.zeros_like(found))).all())
    torch.testing.assert_close(alignment.transforms(images[3:4]), found[3:4])
    flat = torch.ones(1, 1, 24, 20, dtype=torch.float64)
    assert float(alignment.transforms(flat).abs().max()) < 1e-6  # where nothing resembles the mean, nothing moves


def test_what_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"must be \(N, C, H, W\), but they are \(24, 20\)"):
        Alignment(pattern()[0, 0])
    with pytest.raises(ShapeError, match=r"\(1, 10, 10\), but the alignment was learned from \(1, 24, 20\)"):
        Alignment(pattern())(torch.zeros(2, 1, 10, 10))
    with pytest.raises(OptionError, match="stiffness"):
        Alignment(pattern(), stiffness=-1.0)
