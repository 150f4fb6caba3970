"""What a view does to an image or a series, against colorsys, Pillow, SciPy and loops over pixels.

All in float64, where sums of up to a thousand terms of size 1 agree to 1e-12.
"""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lowland.data.views import ImageViews, Jigsaw, SeriesViews, VectorViews
from lowland.data.views.colour import LUMA
from lowland.data.views.resample import cells, interpolation, resample
from lowland.tensors import PerSampleRNG

pytestmark = pytest.mark.usefixtures("means")

CLOSE = {"rtol": 0, "atol": 1e-12}


def images(count: int = 6, channels: int = 3, height: int = 11, width: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator, dtype=torch.float64)


def noise(count: int = 6, seed: int = 0) -> PerSampleRNG:
    return PerSampleRNG(seed, torch.arange(count), torch.float64)


def drawn(views: ImageViews, image: Tensor) -> dict[str, Tensor]:
    return views.draw(noise(len(image)), (image.shape[2], image.shape[3]))


def grey(pixel: Tensor) -> Tensor:
    return sum(weight * pixel[channel] for channel, weight in enumerate(LUMA))  # type: ignore[return-value]


def triangle(place: Tensor, cell: Tensor, pixels: int) -> Tensor:
    """Weights of the pixels of an axis around a place on it, as wide as a cell of the view or as a pixel."""
    return (1 - (torch.arange(pixels, dtype=place.dtype) + 0.5 - place).abs() / cell.abs().clamp_min(1)).clamp_min(0)


@pytest.mark.parametrize("size", [None, (5, 4), (16, 20)])
def test_crop_and_flip_by_loops(size: tuple[int, int] | None) -> None:
    """Each pixel of a view is a mean of the pixels around its place in the image, weighted by a triangle."""
    image, views = images(), replace(ImageViews.crop_only(), crop=(0.2, 0.9), flip=0.5, size=size)
    places, got = drawn(views, image), views(image, noise())
    assert 0 < (places["wide"] < 0).sum() < len(image)
    height, width = size or (11, 9)
    expected = torch.empty(len(image), 3, height, width, dtype=torch.float64)
    for b, one in enumerate(image):
        top, tall, left, wide = (places[name][b] for name in ("top", "tall", "left", "wide"))
        for i in range(height):
            for j in range(width):
                down = triangle(top + tall * (i + 0.5) / height, tall / height, 11)
                across = triangle(left + wide * (j + 0.5) / width, wide / width, 9)
                weights = down[:, None] * across
                expected[b, :, i, j] = (weights * one).sum(dim=(1, 2)) / weights.sum()
    torch.testing.assert_close(got, expected, **CLOSE)


@pytest.mark.parametrize("size", [(8, 8), (15, 30), (40, 24)])
def test_resize_like_pillow(size: tuple[int, int]) -> None:
    """Pillow computes in single precision with images of one float channel: 1e-6 is some ten roundings of 1."""
    image = images(1, 1, 21, 26)
    height, width = size
    first = torch.zeros(1, dtype=torch.float64)
    rows = interpolation(*cells(first, first + 21, 21, height))
    columns = interpolation(*cells(first, first + 26, 26, width))
    got = resample(image.transpose(0, 1), rows, columns)[0, 0]
    theirs = Image.fromarray(image[0, 0].float().numpy()).resize((width, height), Image.Resampling.BILINEAR)
    torch.testing.assert_close(got.float(), torch.from_numpy(np.array(theirs)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("hue", [0.0, 0.1, 0.5])
def test_colour_step_by_step(hue: float) -> None:
    """Brightness, contrast, saturation by their definitions, hue by colorsys, grey, and a clip at the end."""
    image, views = images(), replace(ImageViews.none(), colour=0.7, saturation=0.9, hue=hue, grey=0.4)
    image[0, :, 0] = 0.5  # no hue at all
    image[1, :, :2] = image[1, :, :2].round()  # two channels alike
    factors, got = drawn(views, image), views(image, noise())
    for b in range(len(image)):
        x = image[b] * factors["brightness"][b]
        x = factors["contrast"][b] * x + (1 - factors["contrast"][b]) * grey(x).mean()
        x = factors["saturation"][b] * x + (1 - factors["saturation"][b]) * grey(x)
        # colorsys wants values in [0, 1]; the hue of HSV does not change with an offset and a positive factor.
        low, span = x.min(), x.max() - x.min()
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                h, s, v = colorsys.rgb_to_hsv(*((x[:, i, j] - low) / span).tolist())
                turned = colorsys.hsv_to_rgb((h + factors["hue"][b].item()) % 1, s, v)
                x[:, i, j] = torch.tensor(turned, dtype=torch.float64) * span + low
        x = x.clamp(0, 1)
        torch.testing.assert_close(got[b], grey(x).expand(3, -1, -1) if factors["grey"][b] else x, **CLOSE)
    assert (factors["hue"].abs().max() > 0) == (hue > 0)


def test_colour_of_one_channel() -> None:
    image, views = images(channels=1), replace(ImageViews.none(), colour=1, grey=1)
    factors, got = drawn(views, image), views(image, noise())
    bright = image * factors["brightness"][:, None, None, None]
    contrast = factors["contrast"][:, None, None, None]
    expected = contrast * bright + (1 - contrast) * bright.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(got, expected.clamp(0, 1), **CLOSE)


@pytest.mark.parametrize("shape", [(11, 9), (10, 10)])
def test_blur_like_scipy(shape: tuple[int, int]) -> None:
    """SciPy's Gaussian, divided by what it makes of ones, so that weights beyond the border count for nothing."""
    image, views = images(height=shape[0], width=shape[1]), replace(ImageViews.none(), blur=0.7)
    sigma, got = drawn(views, image)["sigma"], views(image, noise())
    assert 0 < (sigma > 0).sum() < len(image)
    for b in range(len(image)):
        if sigma[b] == 0:
            assert torch.equal(got[b], image[b])
            continue
        blur = {"sigma": (0, sigma[b].item(), sigma[b].item()), "mode": "constant", "truncate": 20 / sigma[b].item()}
        theirs = gaussian_filter(image[b].numpy(), **blur) / gaussian_filter(np.ones_like(image[b].numpy()), **blur)
        torch.testing.assert_close(got[b], torch.from_numpy(theirs), **CLOSE)


def test_solarisation_and_mask() -> None:
    image, views = images(), replace(ImageViews.none(), solarise=0.5, threshold=0.3)
    turned, got = drawn(views, image)["solarise"], views(image, noise())
    assert 0 < turned.sum() < len(image)
    expected = torch.where(turned[:, None, None, None] & (image >= 0.3), 1 - image, image)
    assert torch.equal(got, expected)
    views = replace(ImageViews.none(), mask=0.6, masked=(0.1, 0.3))
    box, got = drawn(views, image), views(image, noise())
    for b in range(len(image)):
        top, left = int(box["mask_top"][b]), int(box["mask_left"][b])
        expected = image[b].clone()
        if box["mask"][b]:
            inside = expected[:, top : top + int(box["mask_tall"][b]), left : left + int(box["mask_wide"][b])]
            assert 0.05 * 99 <= inside[0].numel() <= 0.4 * 99  # sides are whole numbers of pixels
            inside[:] = image[b].mean(dim=(1, 2))[:, None, None]
        torch.testing.assert_close(got[b], expected, **CLOSE)


def test_what_is_drawn_has_the_distribution_that_the_options_name() -> None:
    """A mean of 4,000 draws lies within 4 standard errors of its expectation; wrong ones would be much further off."""
    views = ImageViews(crop=(0.2, 0.8), ratio=(3 / 4, 4 / 3), blur=0.3, solarise=0.2, mask=0.1)
    count = 4000
    found = views.draw(noise(count), (32, 48))
    wide, tall = found["wide"].abs(), found["tall"]
    assert wide.max() <= 48
    assert tall.max() <= 32
    assert (found["top"] >= 0).all()
    assert (found["top"] + tall <= 32 + 1e-9).all()
    area, form = wide * tall / (32 * 48), wide / tall
    assert 0.2 - 1e-9 <= area.min() <= area.max() <= 0.8 + 1e-9
    assert 3 / 4 - 1e-9 <= form.min() <= form.max() <= 4 / 3 + 1e-9
    rates = {"flip": found["wide"] < 0, "grey": found["grey"], "blur": found["sigma"] > 0, "mask": found["mask"]}
    for name, happened in rates.items():
        rate = getattr(views, name)
        assert abs(happened.double().mean().item() - rate) < 4 * (rate * (1 - rate) / count) ** 0.5, name
    bright = found["brightness"][found["brightness"] != 1]
    assert abs(len(bright) / count - 0.8) < 4 * (0.16 / count) ** 0.5
    assert abs(bright.mean().item() - 1) < 4 * 0.8 / 12**0.5 / len(bright) ** 0.5
    assert 0.6 <= bright.min() <= bright.max() <= 1.4


def test_a_long_image_is_cropped_in_the_middle_when_no_crop_fits() -> None:
    found = replace(ImageViews.crop_only(), crop=(0.9, 1.0)).draw(noise(), (10, 100))
    torch.testing.assert_close(found["tall"], torch.full((6,), 10.0, dtype=torch.float64), **CLOSE)
    torch.testing.assert_close(found["wide"], torch.full((6,), 10 * 4 / 3, dtype=torch.float64), **CLOSE)


def test_series_are_read_along_a_clock_that_never_runs_backwards() -> None:
    """A ramp read by linear interpolation shows the clock itself."""
    ramp = torch.arange(50, dtype=torch.float64).expand(8, 2, 50)
    warped = SeriesViews(crop=(0.4, 0.8), warp=0.5, scale=0, jitter=0)(ramp, noise(8))
    assert torch.equal(warped[:, 0], warped[:, 1])
    clock = warped[:, 0]
    assert (clock.diff(dim=1) > 0).all()
    share = (clock[:, -1] - clock[:, 0]) / 49
    assert 0.4 - 1e-9 <= share.min() <= share.max() <= 0.8 + 1e-9
    assert (clock[:, 0] >= 0).all()
    assert (clock[:, -1] <= 49 + 1e-9).all()
    even = replace(SeriesViews.crop_only(), crop=(0.4, 0.8))(ramp, noise(8))[:, 0].diff(dim=1)
    torch.testing.assert_close(even, even[:, :1].expand_as(even), **CLOSE)


def test_scale_jitter_and_mask_of_series() -> None:
    """Noise of 40,000 numbers has its deviation to within 4/√80,000 of it."""
    series = torch.randn(40, 2, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    none = SeriesViews.none()
    scaled = replace(none, scale=0.3)(series, noise(40)) / series
    torch.testing.assert_close(scaled, scaled[:, :, :1].expand_as(scaled), rtol=0, atol=1e-9)
    assert abs(scaled[:, :, 0].std().item() - 0.3) < 4 * 0.3 / 160**0.5
    added = replace(none, jitter=0.1)(series, noise(40)) - series
    relative = added / series.std(dim=2, keepdim=True, correction=0)
    assert abs(relative.std().item() - 0.1) < 4 * 0.1 / 80_000**0.5
    masked = replace(none, mask=1, masked=(0.1, 0.2))(series, noise(40))
    changed = (masked != series).all(dim=1)
    assert 49 <= changed.sum(dim=1).min() <= changed.sum(dim=1).max() <= 101
    assert (changed.diff(dim=1).sum(dim=1) <= 2).all()  # one span
    assert masked[changed[:, None].expand_as(series)].unique().numel() == 80  # the mean of each channel


def test_noise_and_drop_of_vectors() -> None:
    """Of 20,000 numbers, a deviation is known to within 4/√40,000 of it, a share to four of its standard errors."""
    vectors = torch.randn(400, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    added = VectorViews(noise=0.3, drop=0)(vectors, noise(400)) - vectors
    assert abs(added.std().item() - 0.3) < 4 * 0.3 / 40_000**0.5
    assert abs(added.mean().item()) < 4 * 0.3 / 20_000**0.5
    kept = VectorViews(noise=0, drop=0.2)(vectors, noise(400))
    gone = kept == 0
    assert torch.equal(kept[~gone], vectors[~gone])
    assert abs(gone.double().mean().item() - 0.2) < 4 * (0.2 * 0.8 / 20_000) ** 0.5


def test_a_jigsaw_holds_every_patch_once() -> None:
    image = images(5, 1, 6, 6)
    shuffled = Jigsaw(grid=3, patch=ImageViews.none())(image, noise(5))

    def patches(one: Tensor) -> set[tuple[float, ...]]:
        return {tuple(part.flatten().tolist()) for part in one.unfold(0, 2, 2).unfold(1, 2, 2).flatten(0, 1)}

    for before, after in zip(image[:, 0], shuffled[:, 0], strict=True):
        assert patches(before) == patches(after)
    assert not torch.equal(image, shuffled)
