"""Convolutions by a table, trained sub-sampling, and the count of connections."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from lowland.errors import OptionError, ShapeError, UnsupportedError
from lowland.nn.connections import RadialBasis, TableConvolution, count_connections
from lowland.nn.pooling import Subsampling

TABLE = [[0], [0, 2], [2, 1]]


def test_a_table_leaves_out_what_it_does_not_join() -> None:
    layer = TableConvolution(TABLE, inputs=3, kernel=3).double()
    x = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    found = layer(x)
    weights = list(layer.weight)
    for output, row in enumerate(TABLE):
        expected = layer.bias[output] + sum(
            functional.conv2d(x[:, [one]], weights.pop(0)[None, None])[:, 0] for one in row
        )
        torch.testing.assert_close(found[:, output], expected)
        (gradient,) = torch.autograd.grad(found[:, output].sum(), x, retain_graph=True)
        assert {one for one in range(3) if bool((gradient[:, one] != 0).any())} == set(row)


def test_a_full_table_is_a_convolution() -> None:
    layer = TableConvolution([[0, 1]] * 4, inputs=2, kernel=3)
    plain = nn.Conv2d(2, 4, 3)
    plain.weight.data, plain.bias.data = layer.weight.data.reshape(4, 2, 3, 3), layer.bias.data
    x = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), plain(x))
    assert count_connections(layer, (2, 5, 5)) == count_connections(plain, (2, 5, 5))


def test_weights_come_from_the_generator_and_within_their_bounds() -> None:
    state = torch.get_rng_state()
    first, again = TableConvolution(TABLE, 3), TableConvolution(TABLE, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.weight, again.weight)
    other = TableConvolution(TABLE, 3, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(first.weight, other.weight)
    other = TableConvolution(TABLE, 3, bound=lambda inputs: 1 / inputs)
    for layer, near, far in ((first, 1 / 5, 1 / 50**0.5), (other, 1 / 25, 1 / 50)):
        assert 0.9 * near < layer.weight[0].abs().max() <= near
        assert 0.9 * far < layer.weight[1:].abs().max() <= far


@pytest.mark.parametrize("table", [[[]], [[0, 0]], [[3]], [[-1]]])
def test_a_bad_table_gets_one_sentence(table: list[list[int]]) -> None:
    with pytest.raises(OptionError, match=r"Map 0 of the table"):
        TableConvolution(table, inputs=3)


def test_subsampling_is_a_weighted_sum_and_a_bias() -> None:
    layer = Subsampling(2)
    layer.coefficient.data, layer.bias.data = torch.tensor([1.0, -2.0]), torch.tensor([0.0, 0.5])
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 0.0]]]])
    assert layer(x).flatten().tolist() == [10.0, -1.5]


def unit_by_unit(net: nn.Module, shape: tuple[int, ...]) -> int:
    """Inputs of each output that its derivative shows, and one bias for each: what the count must be in one layer."""
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    out = net(x).flatten()
    return sum(int((torch.autograd.grad(one, x, retain_graph=True)[0] != 0).sum()) + 1 for one in out)


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (nn.Conv2d(4, 6, 3, stride=2, groups=2), (4, 7, 8)),
        (nn.Linear(5, 3), (5,)),
        (TableConvolution(TABLE, 3, 3), (3, 6, 5)),
        (Subsampling(2), (2, 4, 6)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_connections_are_those_that_derivatives_show(net: nn.Module, shape: tuple[int, ...]) -> None:
    assert count_connections(net, shape) == unit_by_unit(net, shape)


def test_layers_add_up_and_nothing_is_left_behind() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 4),
        RadialBasis(torch.eye(4)),
    )  # fmt: skip
    mean = net[1].running_mean.clone()
    assert count_connections(net, (1, 6, 6)) == 2 * 16 * 9 + 2 * 32 + 8 * 4 + 36 + 16
    assert not any(layer._forward_hooks for layer in net.modules())
    assert torch.equal(net[1].running_mean, mean)
    assert net[5].weight.device.type == "cpu"


def test_what_cannot_be_counted_gets_one_sentence() -> None:
    with pytest.raises(UnsupportedError, match="ConvTranspose2d"):
        count_connections(nn.ConvTranspose2d(1, 1, 3), (1, 4, 4))
    net = nn.Linear(3, 2)
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        count_connections(net, (4,))
    assert not net._forward_hooks
