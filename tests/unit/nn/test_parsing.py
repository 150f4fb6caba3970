"""Networks that label pixels: the pyramid gives the image back, and a place sees as much as was published."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.nn.encoders import ConvNet, ResNet18, VisionTransformer
from lowland.nn.parsing import EncoderParser, MultiScaleParser, halve, pyramid, resized


def test_the_levels_of_a_pyramid_add_up_to_the_image(generator: torch.Generator) -> None:
    image = torch.rand(2, 3, 32, 48, generator=generator, dtype=torch.float64)
    levels = pyramid(image, 3, bands=True)
    whole = levels[-1]
    for level in levels[-2::-1]:
        whole = level + resized(whole, level)
    torch.testing.assert_close(whole, image, rtol=1e-12, atol=1e-12)
    assert torch.equal(pyramid(image, 1, bands=True)[0], image)


def test_halving_keeps_a_constant_and_blurs_by_the_binomial_filter() -> None:
    torch.testing.assert_close(halve(torch.full((1, 2, 8, 8), 0.3)), torch.full((1, 2, 4, 4), 0.3))
    point = torch.zeros(1, 1, 9, 9)
    point[0, 0, 4, 4] = 256.0
    assert halve(point)[0, 0, 1:4, 1:4].tolist() == [[1.0, 6.0, 1.0], [6.0, 36.0, 6.0], [1.0, 6.0, 1.0]]


def test_sides_that_cannot_be_halved() -> None:
    with pytest.raises(ShapeError, match="multiples of 4"):
        pyramid(torch.zeros(1, 3, 16, 18), 3)
    with pytest.raises(OptionError, match="multiples of 16"):
        MultiScaleParser((3, 24, 32), 2)


def test_a_place_of_the_last_stage_sees_46_pixels() -> None:
    parser = MultiScaleParser((1, 96, 96), 2, scales=1)
    stages = nn.Sequential(*(nn.AvgPool2d(2) if isinstance(each, nn.MaxPool2d) else each for each in parser.stages
                             if not isinstance(each, nn.ReLU)))  # fmt: skip
    image = torch.zeros(1, 1, 96, 96, requires_grad=True)
    stages(image)[0, :, 12, 12].sum().backward()
    assert image.grad is not None
    seen = image.grad[0, 0].abs() > 0
    assert (int(seen.any(dim=0).sum()), int(seen.any(dim=1).sum())) == (46, 46)
    assert MultiScaleParser((1, 96, 96), 2).contexts == (46, 92, 184)


@pytest.mark.parametrize(("column", "seen"), [(64, (0, 127)), (2, (0, 102)), (125, (22, 127))])
def test_only_places_in_the_middle_see_all_of_a_scene(
    column: int, seen: tuple[int, int], generator: torch.Generator
) -> None:
    parser = MultiScaleParser((3, 96, 128), 6, generator=generator).eval()
    image = torch.rand(1, 3, 96, 128, generator=generator).requires_grad_()
    parser(image)[0, :, 48, column].sum().backward()
    assert image.grad is not None
    columns = torch.nonzero(image.grad[0].abs().sum(dim=(0, 1)))
    assert (int(columns.min()), int(columns.max())) == seen


def test_all_scales_share_one_convnet() -> None:
    one, three = (MultiScaleParser((3, 32, 32), 4, scales, hidden=8) for scales in (1, 3))
    extra = sum(p.numel() for p in three.parameters()) - sum(p.numel() for p in one.parameters())
    assert extra == 2 * 64 * 8


@pytest.mark.parametrize("encoder", [ConvNet((3, 24, 24), (8, 16, 24)), ResNet18((3, 24, 24), width=4)])
def test_an_encoder_gives_maps_of_all_its_stages(encoder: nn.Module) -> None:
    image = torch.rand(2, 3, 32, 48)
    parser = EncoderParser(encoder, torch.zeros(3, 1, 1), torch.ones(3, 1, 1), (3, 32, 48), 5)
    assert parser(image).shape == (2, 5, 32, 48)
    encoder.eval()
    stages = encoder.stages(image)
    torch.testing.assert_close(stages[-1], encoder.maps(image))
    size = (8, 12)
    maps = torch.cat(
        [functional.interpolate(each, size, mode="bilinear", align_corners=False) for each in stages], dim=1
    )
    torch.testing.assert_close(parser(image), parser.head(maps))


def test_encoders_that_do_not_fit() -> None:
    mean, deviation = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    with pytest.raises(OptionError, match="no maps of several sizes"):
        EncoderParser(VisionTransformer((3, 16, 16), depth=1), mean, deviation, (3, 16, 16), 2)
    with pytest.raises(OptionError, match="1 channels, but these have 3"):
        EncoderParser(ConvNet((1, 16, 16), (4,)), mean, deviation, (3, 16, 16), 2)
    with pytest.raises(OptionError, match="multiples of 4"):
        EncoderParser(ConvNet((3, 16, 16), (4,)), mean, deviation, (3, 18, 16), 2)
