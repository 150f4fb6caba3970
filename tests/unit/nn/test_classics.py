"""The ConvNets of object recognition have the published numbers of weights; nothing is computed but shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowland.errors import OptionError
from lowland.nn.classics import CLASSICS, Inception, Mixed, classic
from lowland.nn.encoders.resnet18 import ResNet18
from lowland.nn.residual import Bottleneck, Residual

WEIGHTS = {
    "alexnet": 60_965_224,
    "overfeat": 145_920_872,
    "vgg16": 138_357_544,
    "googlenet": 6_998_552,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
}


def weights(net: nn.Module) -> int:
    return sum(one.numel() for one in net.parameters())


def test_every_net_is_counted() -> None:
    assert set(CLASSICS) == set(WEIGHTS)


# Krizhevsky et al. 2012, figure 2; Sermanet et al. 2013, table 1; and table 1 of the others.
SIZES = {
    "alexnet": [55, 27, 13, 6],
    "overfeat": [56, 28, 24, 12, 6],
    "vgg16": [224, 112, 56, 28, 14, 7],
    "googlenet": [112, 56, 28, 14, 7, 1],
    "resnet18": [112, 56, 28, 14, 7, 1],
    "resnet50": [112, 56, 28, 14, 7, 1],
}


@pytest.mark.parametrize("name", CLASSICS)
def test_weights_and_sizes_are_the_published_ones(name: str) -> None:
    net, side = classic(name), CLASSICS[name].side
    assert weights(net) == WEIGHTS[name]
    assert all(one.device.type == "meta" for one in (*net.parameters(), *net.buffers()))
    value, found = torch.empty(2, 3, side, side, device="meta"), []
    for layer in net:
        value = layer(value)
        found += [value.shape[-1]] if value.ndim == 4 and value.shape[-1] not in found else []
    assert value.shape == (2, 1000)
    assert found == SIZES[name]


@pytest.mark.parametrize("name", ["overfeat", "googlenet"])
def test_classes_change_the_last_layer_alone(name: str) -> None:
    net = classic(name, 10)
    last = list(net)[-1]
    assert isinstance(last, nn.Linear)
    assert WEIGHTS[name] - weights(net) == 990 * (last.in_features + 1)


def test_googlenet_has_the_weights_and_biases_that_its_page_says() -> None:
    net = classic("googlenet")
    assert sum(one.numel() for one in net.parameters() if one.ndim > 1) == 6_990_272
    assert sum(one.numel() for one in net.parameters() if one.ndim == 1) == 8_280


def test_a_net_with_values_computes() -> None:
    state = torch.get_rng_state()
    net = classic("resnet18", 3, torch.Generator().manual_seed(0)).eval()
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        # Any larger image will do up to the mean, smaller ones do not reach it.
        found = net(torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1)))
    assert found.shape == (1, 3)
    assert bool(torch.isfinite(found).all())
    assert float(found.std()) > 0
    again = classic("resnet18", 3, torch.Generator().manual_seed(0))
    assert torch.equal(next(net.parameters()), next(again.parameters()))


def test_the_encoder_has_the_blocks_of_the_classic() -> None:
    """ResNet18 for small images lacks the last layer, of 513,000 weights, and has a stem of 3 × 3 in place of 7 × 7."""
    assert weights(ResNet18((3, 32, 32))) == WEIGHTS["resnet18"] - 513_000 - (49 - 9) * 3 * 64


@pytest.mark.parametrize("kind", [Residual, Bottleneck])
def test_a_block_without_change_is_a_rectifier(kind: type[nn.Module]) -> None:
    block = kind(8, 8, 1, torch.Generator().manual_seed(0)).eval()
    last = block.second if kind is Residual else block.third
    nn.init.zeros_(last[1].weight)
    x = torch.randn(1, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), x.relu())
    assert kind(8, 16, 2, torch.Generator().manual_seed(0))(x.expand(2, -1, -1, -1)).shape == (2, 16, 3, 3)


def test_an_inception_module_sees_each_size() -> None:
    """How far each path sees: 1, 3, 5 and 3 pixels."""
    block = Inception(2, Mixed(1, 2, 3, 2, 4, 5), torch.Generator().manual_seed(0))
    for one in block.parameters():  # so that no rectifier hides what a path sees
        one.data.abs_()
    x = torch.rand(1, 2, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = block(x)
    assert found.shape == (1, 13, 9, 9)
    for maps, reach in ((slice(0, 1), 0), (slice(1, 4), 1), (slice(4, 8), 2), (slice(8, 13), 1)):
        (gradient,) = torch.autograd.grad(found[0, maps, 4, 4].sum(), x, retain_graph=True)
        seen = gradient[0].abs().sum(dim=0).nonzero()
        assert int((seen - 4).abs().max()) == reach


def test_unknown_nets_get_one_sentence() -> None:
    with pytest.raises(OptionError, match="Did you mean 'vgg16'"):
        classic("vgg-16")
    with pytest.raises(OptionError, match="one class"):
        classic("vgg16", 0)
