"""The feed-forward network on factors: it does not depend on the names of entries, and works at any size."""

from __future__ import annotations

import pytest
import torch

from lowland.data.problems import additions, inverse_columns
from lowland.errors import OptionError
from lowland.nn.factor_network import FactorNetwork


def test_renamed_unknowns_get_the_same_answers() -> None:
    x, _ = inverse_columns(4, 5, 0.5, torch.Generator().manual_seed(0))
    order = torch.tensor([3, 0, 4, 1, 2])
    renamed = torch.cat([x[:, :5][:, order], x[:, 5:].reshape(-1, 5, 5)[:, order][:, :, order].flatten(1)], dim=1)
    network = FactorNetwork("linear_system", 5)
    torch.testing.assert_close(network(renamed), network(x)[:, order], rtol=1e-4, atol=1e-5)


def test_a_copy_of_another_size_has_the_same_weights() -> None:
    network = FactorNetwork("addition", 6, width=3, channels=2, generator=torch.Generator().manual_seed(1))
    x, _ = additions(2, 6, 1.0, torch.Generator().manual_seed(0))
    pair = x[:, [0, 1, 6, 7]]
    # Sums do not meet each other.
    torch.testing.assert_close(network.resized(2)(pair), network(x)[:, :2])


def test_bad_options_are_named() -> None:
    with pytest.raises(OptionError, match="layers"):
        FactorNetwork("linear_system", 4, layers=0)
