"""The nets of tumours: the published number of weights, what a place sees, and windows against whole images."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.nn.two_paths import CONTEXT, Cascade, TwoPaths, VolumeNet, Windows, fourier_convolution, weight_count


def two_paths(shape: tuple[int, int, int] = (4, 12, 8), seed: int = 0, wide: int = 160) -> TwoPaths:
    """With weights in the output layer too, which start at 0."""
    draw = torch.Generator().manual_seed(seed)
    net = TwoPaths(shape, wide=wide, generator=draw)
    net.output.weight.data.normal_(generator=draw)
    return net


def test_weights_are_the_published_number() -> None:
    """LeCun 2016 gives 802,368 for the cascade; the terms are those of the layers, one by one."""
    cascade = Cascade(TwoPaths((4, 240, 240)))
    assert weight_count(cascade) == 7**2 * 9 * 64 + 3**2 * 64**2 + 13**2 * 9 * 160 + 21**2 * 224 * 5 == 802_368
    assert weight_count(TwoPaths((4, 24, 16), wide=0)) == 7**2 * 4 * 64 + 3**2 * 64**2 + 21**2 * 64 * 5
    assert all(one.device.type == "meta" for one in cascade.parameters())


def test_a_place_sees_33_pixels_in_each_direction() -> None:
    net = two_paths((4, 50, 3)).double()
    image = torch.rand(1, 4, 50, 3, dtype=torch.float64, requires_grad=True)
    net(image)[0, 0, 25, 1].backward()
    assert image.grad is not None
    slope = image.grad.abs().sum(dim=(0, 1, 3))
    # Transforms leave rounding errors of 1e-16 everywhere.
    seen = (slope > 1e-10 * slope.max()).nonzero()[:, 0]
    assert (int(seen.min()), int(seen.max())) == (25 - CONTEXT // 2, 25 + CONTEXT // 2)


@pytest.mark.parametrize("kind", ["two", "cascade"])
def test_windows_give_the_scores_of_the_whole_image(kind: str) -> None:
    """With all that they see around them, and zeros around the image, in single precision."""
    net = two_paths()
    if kind == "cascade":
        net = Cascade(net, torch.Generator().manual_seed(1))
        net.second.output.weight.data.normal_(generator=torch.Generator().manual_seed(2))
    image = torch.rand(1, 4, 12, 8, generator=torch.Generator().manual_seed(3))
    around = functional.pad(image, (net.margin,) * 4)
    windows = Windows(net, side=6)
    found = windows(around[:, :, 4 : 4 + 6 + 2 * net.margin, 1 : 1 + 6 + 2 * net.margin])
    inner = found[:, :, net.margin : -net.margin, net.margin : -net.margin]
    whole = net(image)
    assert whole.shape == (1, 5, 12, 8)
    torch.testing.assert_close(inner, whole[:, :, 4:10, 1:7], rtol=1e-3, atol=1e-4)
    assert not bool(found[:, :, : net.margin].any())


def test_the_first_net_of_a_cascade_is_held_fixed() -> None:
    cascade = Cascade(two_paths(), torch.Generator().manual_seed(1))
    cascade.second.output.weight.data.normal_()
    cascade(torch.rand(1, 4, 12, 8)).sum().backward()
    assert all(one.grad is None for one in cascade.first.parameters())
    assert all(one.grad is not None for one in cascade.second.parameters())


def test_the_probabilities_of_the_first_net_reach_the_second() -> None:
    cascade = Cascade(two_paths(), torch.Generator().manual_seed(1))
    cascade.second.output.weight.data.normal_(generator=torch.Generator().manual_seed(2))
    image = torch.rand(1, 4, 12, 8)
    before = cascade(image)
    cascade.first.output.bias.data[0] += 3.0
    assert not torch.allclose(before, cascade(image))


@pytest.mark.parametrize("size", [(9, 8), (21, 30)])
def test_products_of_transforms_are_the_convolution(size: tuple[int, int], generator: torch.Generator) -> None:
    image = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, generator=generator, dtype=torch.float64, requires_grad=True)
    values = [function(image, weight, bias) for function in (fourier_convolution, functional.conv2d)]
    torch.testing.assert_close(*values)
    slopes = [torch.autograd.grad(value.square().sum(), (image, weight, bias)) for value in values]
    torch.testing.assert_close(*slopes)


def test_a_volume_is_seen_across_its_slices() -> None:
    net = VolumeNet((4, 8, 8, 4), maps=(2, 3, 4), hidden=3, generator=torch.Generator().manual_seed(0))
    image = torch.rand(1, 4, 8, 8, 4)
    changed = image.clone()
    changed[:, :, 2] += 1.0
    before, after = (net(each.flatten(2, 3)).unflatten(2, (8, 8)) for each in (image, changed))
    assert before.shape == (1, 5, 8, 8, 4)
    assert not torch.equal(before[:, :, 4], after[:, :, 4])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="multiples of 4"):
        VolumeNet((4, 6, 8, 8))
    with pytest.raises(OptionError, match="a class"):
        TwoPaths((4, 8, 8), classes=0)
    with pytest.raises(ShapeError, match="larger than the image"):
        fourier_convolution(torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 4, 3))
