"""Products that skip zeros are those of the dense layers, to rounding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowland.errors import ShapeError, UnsupportedError
from lowland.nn.sparse_activity import SparseConvolution, SparseLinear, sparse_product


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_equal_to_the_dense_product(density: float, generator: torch.Generator) -> None:
    z = torch.randn(5, 64, generator=generator) * (torch.rand(5, 64, generator=generator) < density)
    dictionary = torch.randn(30, 64, generator=generator) / 8
    wanted = z.double() @ dictionary.double().T
    torch.testing.assert_close(sparse_product(z, dictionary.T.contiguous()).double(), wanted, atol=1e-6, rtol=0)


def test_only_the_columns_of_nonzero_inputs_are_read() -> None:
    layer = nn.Linear(6, 3)
    x = torch.tensor([[0.0, 0.0, 1.5, 0.0, -2.0, 0.0]])
    wanted = layer(x)
    with torch.no_grad():
        layer.weight[:, [0, 1, 3, 5]] = torch.nan
    torch.testing.assert_close(SparseLinear(layer)(x), wanted, atol=1e-6, rtol=0)
    assert SparseLinear(nn.Linear(6, 3, bias=False))(x.expand(2, 4, 6)).shape == (2, 4, 3)


def test_derivatives_are_those_of_the_dense_product(generator: torch.Generator) -> None:
    z = torch.relu(torch.randn(4, 20, generator=generator)).requires_grad_()
    rows = torch.randn(20, 7, generator=generator).requires_grad_()
    pull = torch.randn(4, 7, generator=generator)
    ours = torch.autograd.grad((sparse_product(z, rows) * pull).sum(), (z, rows))
    dense = torch.autograd.grad((z @ rows * pull).sum(), (z, rows))
    torch.testing.assert_close(ours[0], dense[0] * (z > 0))
    torch.testing.assert_close(ours[1], dense[1])


@pytest.mark.parametrize("active", [(), (2,), (0, 3, 7), tuple(range(8))])
def test_a_convolution_leaves_out_channels_of_zeros(active: tuple[int, ...], generator: torch.Generator) -> None:
    layer = nn.Conv2d(8, 6, 3, stride=2, padding=1)
    x = torch.zeros(2, 8, 9, 9)
    x[:, list(active)] = torch.randn(2, len(active), 9, 9, generator=generator)
    wanted = layer(x).detach()
    with torch.no_grad():
        layer.weight[:, [one for one in range(1, 8) if one not in active]] = torch.nan if active else 1.0
        layer.weight[:, :1] = layer.weight[:, :1] if 0 in active or not active else torch.nan
    torch.testing.assert_close(SparseConvolution(layer)(x), wanted, atol=1e-6, rtol=0)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ShapeError, match="same type"):
        sparse_product(torch.zeros(2, 3), torch.zeros(4, 2))
    with pytest.raises(ShapeError, match="float64"):
        sparse_product(torch.zeros(2, 3), torch.zeros(3, 2, dtype=torch.float64))
    with pytest.raises(UnsupportedError, match="one group"):
        SparseConvolution(nn.Conv2d(4, 4, 3, groups=2))
