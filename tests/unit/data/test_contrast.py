"""Contrast that is taken out, borders that fade, windows that come from where they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from lowland.data.contrast import contrast_windows, draw_windows, fade, normalise_contrast
from lowland.data.natural import photographs
from lowland.errors import OptionError, ShapeError

GENERATOR = torch.Generator().manual_seed(0)


def test_contrast_does_not_matter() -> None:
    """Light and contrast of a picture are taken out: a 0.3 y + 0.2 looks like y, to single precision."""
    y = torch.rand(2, 3, 24, 30, generator=GENERATOR)
    torch.testing.assert_close(normalise_contrast(0.3 * y + 0.2), normalise_contrast(y), rtol=0, atol=1e-4)


def test_borders_fade_and_the_middle_stays() -> None:
    faded = fade(torch.ones(2, 1, 12, 10), 3)
    assert bool((faded[..., 3:-3, 3:-3] == 1).all())
    torch.testing.assert_close(faded, faded.flip(-1).flip(-2))
    # sin²(π/12), sin²(π/4) and sin²(5π/12) of pixels' middles.
    edge = torch.tensor([0.0669873, 0.5, 0.9330127])
    torch.testing.assert_close(faded[0, 0, 5, :3], edge)


def test_flat_windows_are_left_out() -> None:
    """One half is flat: no window lies in it alone."""
    image = torch.zeros(1, 20, 40)
    image[..., 20:] = torch.randn(20, 20, generator=GENERATOR)
    drawn = draw_windows([image], 8, 50, torch.Generator().manual_seed(1), min_contrast=0.1)
    assert float(drawn.flatten(1).std(dim=1).min()) >= 0.1
    # A picture that is flat everywhere gives what it has.
    assert draw_windows([torch.zeros(1, 9, 9)], 8, 3, GENERATOR, min_contrast=0.1).shape == (3, 1, 8, 8)


def test_images_that_are_too_small() -> None:
    with pytest.raises(ShapeError, match="more than 9 pixels"):
        normalise_contrast(torch.zeros(1, 1, 9, 9))
    with pytest.raises(OptionError, match="do not fit"):
        draw_windows([torch.zeros(1, 5, 9)], 8, 1, GENERATOR)


def test_windows_of_training_and_test_come_from_different_parts(tmp_path: Path) -> None:
    """Of a photograph 40 pixels wide: each window is a piece of the left 30 columns, or of the right 10."""
    pixels = torch.randint(0, 256, (24, 40), generator=GENERATOR, dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).save(tmp_path / "mine.png")
    (grey,) = photographs(tmp_path).values()
    flat = normalise_contrast(grey[None, None])[0, 0]
    for part, strip in (("train", flat[:, :30]), ("test", flat[:, 30:])):
        known = strip.unfold(0, 8, 1).unfold(1, 8, 1).reshape(-1, 64)
        windows = contrast_windows(8, 20, torch.Generator().manual_seed(1), part, data_dir=tmp_path).flatten(1)
        away = torch.cdist(windows, known, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
        assert float(away.max()) == 0
