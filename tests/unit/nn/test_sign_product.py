"""The product of single bits is that of the signs, exactly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowland.errors import ShapeError
from lowland.nn.quantised import quantised
from lowland.nn.sign_product import pack_signs, sign_product

pytest.importorskip("numba")


@pytest.mark.parametrize("size", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("rows", [1, 4, 7])
def test_it_is_the_product_of_the_signs(rows: int, size: int) -> None:
    draw = torch.Generator().manual_seed(size)
    left, right = torch.randn(rows, size, generator=draw), torch.randn(5, size, generator=draw).double()
    left[0, 0] = 0.0
    wanted = torch.where(left < 0, -1, 1) @ torch.where(right < 0, -1, 1).T
    found = sign_product(pack_signs(left), pack_signs(right))
    assert torch.equal(found.long(), wanted)


def test_a_layer_of_single_bits_is_a_sign_product_and_two_scales() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(6, 70, generator=draw)
    layer = quantised(nn.Sequential(nn.Identity(), nn.Linear(70, 70), nn.Linear(70, 9)), 1, 1, x=x)[2]
    counts = sign_product(pack_signs(x), pack_signs(layer.weight))
    scale = layer.input_levels.scales(x) * layer.weight_levels.scales(layer.weight)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), counts * scale + layer.bias)


def test_what_is_no_matrix_is_said() -> None:
    for rows in (torch.ones(3), torch.ones(2, 3, dtype=torch.int64)):
        with pytest.raises(ShapeError, match="float matrix"):
            pack_signs(rows)
    with pytest.raises(ShapeError, match="3 signs"):
        sign_product(pack_signs(torch.ones(1, 3)), pack_signs(torch.ones(1, 4)))
