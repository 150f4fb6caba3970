"""Memories as layers, against the same sums written out."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.errors import OptionError
from lowland.nn.memory_layers import AllAttention, ProductKeyMemory


def test_product_keys_find_what_a_search_of_all_slots_finds(generator: torch.Generator) -> None:
    layer = ProductKeyMemory(12, sub_keys=9, count=4, heads=2, key_width=6, generator=generator).double()
    token = torch.randn(7, 12, generator=generator).double()
    query = layer.queries(token).unflatten(1, (2, 6))
    wanted = torch.zeros(7, 12).double()
    for head in range(2):
        first, second = layer.keys[0, head], layer.keys[1, head]
        keys = torch.cat([first[:, None].expand(-1, 9, -1), second[None].expand(9, -1, -1)], dim=2).flatten(0, 1)
        best = (query[:, head] @ keys.T).topk(4, dim=1)
        share = best.values.softmax(dim=1)
        wanted = wanted + (share[:, :, None] * layer.values[best.indices]).sum(dim=1)
    torch.testing.assert_close(layer(token), wanted)
    torch.testing.assert_close(layer(token.reshape(7, 1, 1, 12))[:, 0, 0], wanted)


def test_only_the_slots_that_were_read_learn(generator: torch.Generator) -> None:
    layer = ProductKeyMemory(8, sub_keys=6, count=2, heads=1, key_width=4, generator=generator)
    layer(torch.randn(1, 8, generator=generator)).sum().backward()
    gradient = layer.values.grad
    assert gradient is not None
    assert int((gradient.abs().sum(dim=1) > 0).sum()) == 2


def test_all_attention_attends_to_tokens_and_slots(generator: torch.Generator) -> None:
    layer = AllAttention(8, heads=2, slots=3, generator=generator).double()
    token = torch.randn(2, 5, 8, generator=generator).double()
    query, key, value = layer.parts(token)
    mixed = torch.zeros(2, 2, 5, 4).double()
    for head in range(2):
        for sample in range(2):
            keys = torch.cat([layer.keys[head], key[sample, head]])
            values = torch.cat([layer.values[head], value[sample, head]])
            mixed[sample, head] = torch.softmax(query[sample, head] @ keys.T / math.sqrt(4), dim=1) @ values
    torch.testing.assert_close(layer(token), layer.rest(token, mixed))


def test_sizes_that_cannot_be() -> None:
    for options in ({"key_width": 5}, {"count": 7, "sub_keys": 6}, {"heads": 0}):
        with pytest.raises(OptionError, match="product-key memory"):
            ProductKeyMemory(8, **options)
    for heads, slots in ((3, 2), (2, 0)):
        with pytest.raises(OptionError, match="All-attention"):
            AllAttention(8, heads, slots)
