"""LeNet-5 has the layers, weights and connections of the paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowland.errors import OptionError, ShapeError
from lowland.nn.connections import count_connections
from lowland.nn.lenet import TABLE, LeNet5, digit_bitmaps
from lowland.systems import published

# Section II B of the paper, layer by layer: shape, trainable weights, connections.
LAYERS = {
    "C1": ((6, 28, 28), 156, 122304),
    "S2": ((6, 14, 14), 12, 5880),
    "C3": ((16, 10, 10), 1516, 151600),
    "S4": ((16, 5, 5), 32, 2000),
    "C5": ((120, 1, 1), 48120, 48120),
    "F6": ((84,), 10164, 10164),
}


def weights(net: nn.Module) -> int:
    return sum(one.numel() for one in net.parameters())


def test_each_layer_is_the_published_one() -> None:
    net = LeNet5()
    maps, shape = net.maps(torch.zeros(2, 1, 32, 32)), (1, 32, 32)
    for name, (wanted, trained, connected) in LAYERS.items():
        layer = getattr(net.stages, name)
        assert maps[name].shape == (2, *wanted)
        assert weights(layer) == trained, name
        assert count_connections(layer, shape) == connected, name
        shape = wanted
    assert maps["output"].shape == (2, 10)


def test_the_totals_are_the_published_ones() -> None:
    net = LeNet5()
    assert weights(net) == published("V3", "free-parameters")
    assert count_connections(net, (1, 32, 32)) == published("V3", "connections")


def test_the_table_is_the_published_one() -> None:
    """In the words of the paper: six maps see 3 contiguous ones, six see 4, three see 4 others, and one sees all."""
    circles = {size: {tuple(sorted((first + k) % 6 for k in range(size))) for first in range(6)} for size in (3, 4)}
    assert set(TABLE[:6]) == circles[3]
    assert set(TABLE[6:12]) == circles[4]
    assert not set(TABLE[12:15]) & circles[4]
    assert {len(row) for row in TABLE[12:15]} == {4}
    assert TABLE[15] == (0, 1, 2, 3, 4, 5)
    assert len(set(TABLE)) == 16
    assert [sum(one in row for row in TABLE) for one in range(6)] == [10] * 6


def test_bitmaps_are_of_one_size_and_far_apart() -> None:
    bitmaps = digit_bitmaps()
    assert bitmaps.shape == (10, 84)
    assert set(bitmaps.flatten().tolist()) == {-1.0, 1.0}
    differing = (bitmaps[:, None] != bitmaps).sum(dim=2)
    assert differing[~torch.eye(10, dtype=torch.bool)].min() >= 4
    assert (bitmaps == 1).sum(dim=1).min() > 15


def test_first_weights_are_within_their_bounds() -> None:
    """± 2.4 / n for units with n inputs, appendix A; a uniform draw of so many weights comes close to its ends."""
    for modern in (False, True):
        stages = LeNet5(modern=modern).stages
        for layer, inputs in ((stages.C1[0], 25), (stages.C5[0], 400), (stages.F6[1], 120)):
            bound = inputs**-0.5 if modern else 2.4 / inputs
            assert 0.9 * bound < layer.weight.abs().max() <= bound


def test_modern_rectifies_and_takes_maxima() -> None:
    net = LeNet5("linear", modern=True)
    assert weights(net) == 60000 - 12 - 32 + 850
    maps = net.maps(torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert all(float(maps[name].detach().min()) >= 0 for name in LAYERS)
    torch.testing.assert_close(maps["S2"], maps["C1"].unflatten(2, (14, 2)).unflatten(4, (14, 2)).amax(dim=(3, 5)))
    squashed = LeNet5("rbf", modern=True).maps(torch.rand(1, 1, 32, 32))["F6"]
    assert float(squashed.detach().min()) < 0


def test_weights_come_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again = LeNet5().state_dict(), LeNet5().state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = LeNet5(generator=torch.Generator().manual_seed(1)).state_dict()
    assert [name for name in first if torch.equal(first[name], other[name])] == [
        "stages.C3.0.places",
        "stages.output.centres",
    ]


def test_bad_input_gets_one_sentence() -> None:
    with pytest.raises(OptionError, match="softmax"):
        LeNet5("softmax")  # type: ignore[arg-type]
    for shape in ((2, 1, 28, 28), (2, 3, 32, 32), (1, 32, 32)):
        with pytest.raises(ShapeError, match="takes images"):
            LeNet5()(torch.zeros(shape))
