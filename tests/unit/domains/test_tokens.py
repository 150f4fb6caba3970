"""Domains of sequences."""

from __future__ import annotations

import pytest
import torch

from lowland.domains import Tokens
from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG


@pytest.mark.parametrize("empty", ["none", "end", "any"])
def test_elements_are_all_and_draws_are_even(empty: str) -> None:
    domain = Tokens(2, 3, empty)
    elements = domain.elements()
    assert len(elements) == domain.cardinality == {"none": 8, "end": 15, "any": 27}[empty]
    assert len(elements.unique(dim=0)) == len(elements)
    assert bool(domain.contains(elements).all())
    drawn = domain.sample(PerSampleRNG(0, torch.arange(2)), 20_000).flatten(0, 1)
    assert bool(domain.contains(drawn).all())
    _, counts = drawn.unique(dim=0, return_counts=True)
    share = counts / len(drawn) * len(elements)
    assert len(counts) == len(elements)
    assert share.sub(1).abs().max() < 0.15  # 1,500 draws of each and more: 4 standard deviations are 0.1


def test_projection() -> None:
    u = torch.tensor([[0.4, -0.6, 7.0], [-3.0, 1.0, 1.2]])
    assert Tokens(3, 3).project(u).tolist() == [[0, 0, 2], [0, 1, 1]]
    assert Tokens(3, 3, "any").project(u).tolist() == [[0, -1, 2], [-1, 1, 1]]
    assert Tokens(3, 3, "end").project(u).tolist() == [[0, -1, -1], [-1, -1, -1]]


def test_large_and_wrong() -> None:
    assert Tokens(30, 500).cardinality is None
    assert Tokens(1, 500).cardinality == 1
    with pytest.raises(OptionError, match="empty 'none', 'end' or 'any'"):
        Tokens(3, 2, "some")
