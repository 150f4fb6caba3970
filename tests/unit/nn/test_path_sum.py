"""The sum over paths is the network itself, and a polynomial of the weights between two switches."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from lowland.errors import OptionError, ShapeError, UnsupportedError
from lowland.nn.layers import linear, mlp
from lowland.nn.path_sum import activity, linear_layers, path_lengths, path_sum, polynomial_excess


@pytest.mark.parametrize("number", range(50))
def test_fifty_random_networks_are_their_sums_over_paths(number: int) -> None:
    draw = torch.Generator().manual_seed(number)
    layers = 1 + number % 4
    sizes = torch.randint(1, 6, (layers + 1,), generator=draw).tolist()
    network = mlp(*sizes, activation=nn.ReLU, generator=draw).double()
    x = 3 * torch.randn(7, sizes[0], generator=draw, dtype=torch.float64)
    found = path_sum(network, x)
    # Thousands of terms of order 1, each rounded to 1e-16.
    torch.testing.assert_close(found.output, network(x), rtol=0, atol=1e-10)
    assert bool((found.active <= found.paths).all())


def test_paths_are_those_that_one_counts_by_hand() -> None:
    """Two inputs, three units, one output: 6 paths from inputs, 3 from biases of units, 1 from that of the output."""
    assert path_sum(mlp(2, 3, 1, activation=nn.ReLU).double(), torch.ones(1, 2).double()).paths == 10
    plain = nn.Sequential(linear(2, 3, bias=False), nn.ReLU(), linear(3, 1, bias=False))
    assert path_sum(plain, torch.ones(1, 2)).paths == 6
    assert path_lengths(plain) == [2]


def test_active_paths_are_those_through_active_units() -> None:
    draw = torch.Generator().manual_seed(3)
    network = mlp(2, 4, 3, 2, activation=nn.ReLU, generator=draw).double()
    x = torch.randn(20, 2, generator=draw, dtype=torch.float64)
    found = path_sum(network, x)
    first, second = (one.sum(dim=1) for one in activity(network, x))
    # From two inputs and the constant through both layers; from biases of the second; and from those of the output.
    expected = 3 * first * second * 2 + second * 2 + 2
    assert found.active.tolist() == expected.tolist()
    assert len(set(expected.tolist())) > 1


def test_every_term_is_a_product_of_weights() -> None:
    """Against a loop over all paths of a network without biases."""
    draw = torch.Generator().manual_seed(5)
    network = nn.Sequential(
        linear(2, 3, draw, bias=False), nn.ReLU(), linear(3, 2, draw, bias=False), nn.ReLU(),
        linear(2, 2, draw, bias=False),
    ).double()  # fmt: skip
    x = torch.randn(1, 2, generator=draw, dtype=torch.float64)
    first, second, third = (layer.weight.detach() for layer in linear_layers(network))
    on = [one[0] for one in activity(network, x)]
    total = [0.0, 0.0]
    for i, u, v, k in itertools.product(range(2), range(3), range(2), range(2)):
        if on[0][u] and on[1][v]:
            total[k] += float(third[k, v] * second[v, u] * first[u, i] * x[0, i])
    assert path_sum(network, x).output[0].detach().tolist() == pytest.approx(total, abs=1e-14)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_degree_is_the_number_of_layers(layers: int) -> None:
    draw = torch.Generator().manual_seed(layers)
    network = mlp(*[3] * layers, 2, activation=nn.ReLU, generator=draw).double()
    x = torch.randn(1, 3, generator=draw, dtype=torch.float64)
    ways = [torch.randn(one.shape, generator=draw, dtype=torch.float64) for one in network.parameters()]
    before = [one.clone() for one in network.parameters()]
    assert polynomial_excess(network, x, ways, layers) < 1e-9
    assert polynomial_excess(network, x, ways, layers - 1) > 1e-8
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_fixed_switches_leave_a_linear_function() -> None:
    draw = torch.Generator().manual_seed(0)
    network = nn.Sequential(linear(2, 5, draw, bias=False), nn.ReLU(), linear(5, 1, draw, bias=False)).double()
    x = torch.randn(4, 2, generator=draw, dtype=torch.float64)
    switches = activity(network, x[:1])
    given = [one.expand(4, -1) for one in switches]
    found = path_sum(network, x, given).output
    torch.testing.assert_close(
        path_sum(network, 2 * x - 1, given).output + path_sum(network, 1 - x, given).output, found
    )


def test_other_networks_and_too_many_paths_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="SiLU"):
        path_sum(mlp(2, 3, 1), torch.ones(1, 2))
    with pytest.raises(UnsupportedError, match="Linear"):
        linear_layers(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    with pytest.raises(ShapeError, match="takes"):
        path_sum(mlp(2, 3, 1, activation=nn.ReLU), torch.ones(1, 3))
    with pytest.raises(OptionError, match="terms"):
        path_sum(mlp(100, 100, 100, 100, 10, activation=nn.ReLU), torch.ones(1, 100))
    # Units that switch at 0.03, 0.0003, … of the way, so that some do in every interval.
    dead = nn.Sequential(linear(1, 7, bias=False), nn.ReLU(), linear(7, 1, bias=False)).double()
    ways = [torch.ones_like(one) for one in dead.parameters()]
    with torch.no_grad():
        next(dead.parameters()).copy_(-0.03 * 0.01 ** torch.arange(7)[:, None])
    with pytest.raises(UnsupportedError, match="threshold"):
        polynomial_excess(dead, torch.ones(1, 1).double(), ways, 2)
