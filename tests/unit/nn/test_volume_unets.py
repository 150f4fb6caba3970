"""U-Nets of volumes: sparse and dense ones agree on a full volume, samples stay apart, and every weight learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lowland.errors import DataError, OptionError
from lowland.nn.sparse_volumes import SparseVolume
from lowland.nn.volume_unets import DenseUNet, SparseUNet


def volume(side: int = 8) -> SparseVolume:
    draw = torch.Generator().manual_seed(0)
    there = (torch.rand(2, side, side, side, generator=draw) < 0.1).nonzero()
    return SparseVolume(there, torch.randn(len(there), 2, generator=draw), (side,) * 3)


def test_a_full_volume_gives_the_same_with_the_same_weights() -> None:
    sparse, dense = SparseUNet(2, 3, (4, 6, 8)).double().eval(), DenseUNet(2, 3, (4, 6, 8)).double().eval()
    there = torch.ones(1, 8, 8, 8).nonzero()
    full = SparseVolume(
        there, torch.randn(len(there), 2, generator=torch.Generator().manual_seed(1)).double(), (8,) * 3
    )
    pairs: list[tuple[Any, Any]] = [(sparse.last, dense.last)]
    for ours, theirs in zip([*sparse.blocks, *sparse.joined], [*dense.blocks, *dense.joined], strict=True):
        pairs += list(zip(ours.layers, list(theirs)[::3], strict=True))
    with torch.no_grad():
        for ours, theirs in [*pairs, *((one, other[0]) for one, other in zip(sparse.down, dense.down, strict=True))]:
            theirs.weight.copy_(ours.cube().transpose(0, 1))
        for ours, theirs in zip(sparse.up, dense.up, strict=True):
            theirs[0].weight.copy_(ours.cube())
        assert torch.allclose(sparse(full), dense(full), rtol=0, atol=1e-12)


def test_samples_stay_apart_and_every_weight_learns() -> None:
    network, both = SparseUNet(2, 3, (4, 6)).eval(), volume()
    first = both.coordinates[:, 0] == 0
    alone = SparseVolume(both.coordinates[first], both.features[first], (8,) * 3)
    assert torch.allclose(network(alone), network(both)[first], atol=1e-6)
    network.train()(both).square().sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in network.parameters())


def test_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    for kind in (SparseUNet, DenseUNet):
        kind(2, 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_bad_shapes() -> None:
    for kind in (SparseUNet, DenseUNet):
        with pytest.raises(OptionError, match="at least one scale"):
            kind(2, 3, ())
    with pytest.raises(DataError, match="multiples of 4"):
        DenseUNet(2, 3)(volume(10))
    assert SparseUNet(2, 3)(volume(12)).shape[1] == 3
