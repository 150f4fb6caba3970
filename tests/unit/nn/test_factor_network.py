"""The feed-forward network on factors: it does not depend on the names of entries, and works at any size."""

from __future__ import annotations

import pytest
import torch

from lowland.data.problems import inverse_columns, shortest_paths
from lowland.errors import OptionError
from lowland.nn.factor_network import FactorNetwork


def test_renamed_unknowns_get_the_same_answers() -> None:
    x, _ = inverse_columns(4, 5, 0.5, torch.Generator().manual_seed(0))
    order = torch.tensor([3, 0, 4, 1, 2])
    renamed = torch.cat([x[:, :5][:, order], x[:, 5:].reshape(-1, 5, 5)[:, order][:, :, order].flatten(1)], dim=1)
    network = FactorNetwork("linear_system", 5)
    torch.testing.assert_close(network(renamed), network(x)[:, order], rtol=1e-4, atol=1e-5)


def test_nothing_passes_where_there_is_no_edge() -> None:
    """A node further away than there are layers does not see that the source has moved."""
    size, layers = 8, 2
    chain = torch.zeros(size, size)
    chain[torch.arange(size - 1), torch.arange(1, size)] = 1
    chain = (chain + chain.T).flatten()
    sources = torch.eye(size)[[0, 1]]
    x = torch.cat([sources, chain.expand(2, -1), chain.expand(2, -1)], dim=1)
    first, second = FactorNetwork("shortest_path", size, layers=layers)(x)
    assert not torch.allclose(first[:2], second[:2])
    torch.testing.assert_close(first[-2:], second[-2:], rtol=0, atol=0)


def test_a_copy_of_another_size_has_the_same_weights() -> None:
    network = FactorNetwork("shortest_path", 6, width=3, channels=2, generator=torch.Generator().manual_seed(1))
    x, y = shortest_paths(2, 9, torch.Generator().manual_seed(0))
    large = network.resized(9)
    assert large(x).shape == y.shape
    assert torch.equal(large.readout.weight, network.readout.weight)


def test_bad_options_are_named() -> None:
    with pytest.raises(OptionError, match="layers"):
        FactorNetwork("linear_system", 4, layers=0)
