"""The U-Net: sizes, its first function, and what each output sees."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.nn.unet import UNet


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (3, 2)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    image = torch.rand(2, 2, *size)
    network = UNet(2, maps=(3, 4, 5))
    assert torch.equal(network(image), image)
    torch.nn.init.ones_(network.last.weight)
    assert network(image).shape == image.shape
    assert not torch.equal(network(image), image)


def test_more_scales_see_further() -> None:
    """Two convolutions see 2 pixels to each side. Below, half the pixels: 16 ± 2 is 7 to 9, ± 2, is 10 to 23, ± 2."""
    for maps, reach in (((2,), 2), ((2, 2), 25 - 16)):
        network = UNet(1, maps=maps)
        torch.nn.init.ones_(network.last.weight)
        image = torch.rand(1, 1, 32, 32, requires_grad=True)
        network(image)[0, 0, 16, 16].backward()
        assert image.grad is not None
        seen = image.grad[0, 0].nonzero()
        assert int((seen - 16).abs().max()) == reach


@pytest.mark.parametrize("maps", [(), (4, 0)])
def test_maps_that_cannot_be(maps: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="scale"):
        UNet(1, maps)
