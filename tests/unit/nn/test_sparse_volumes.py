"""Sparse convolution is dense convolution read at the voxels, and so are its gradients, of the second order too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import DataError, OptionError, ShapeError
from lowland.nn.sparse_volumes import InverseConvolution, SparseVolume, StridedConvolution, SubmanifoldConvolution

SIDES = (7, 6, 9)
# Sums of at most 125 · 4 products in another order: their rounding is random, and below √500 ε of the norm.
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-6}
SHAPES = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0), (3, 3, 2)]


def volume_of(share: float, dtype: torch.dtype = torch.float64, seed: int = 0, samples: int = 2) -> SparseVolume:
    draw = torch.Generator().manual_seed(seed)
    there = (torch.rand(samples, *SIDES, generator=draw) < share).nonzero()
    there = there[torch.randperm(len(there), generator=draw)]
    features = torch.randn(len(there), 3, generator=draw, dtype=dtype, requires_grad=True)
    return SparseVolume(there, features, SIDES, samples)


def agree(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    assert (found - wanted).norm() <= CLOSE[found.dtype] * wanted.norm()


def agree_with_gradients(layer: Any, found: Tensor, wanted: Tensor, features: Tensor) -> None:
    """Values and gradients; in float64 also the gradients of a function of the gradients, which cancel in part."""
    agree(found, wanted)
    inputs = [features, *layer.parameters()]
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(5), dtype=found.dtype)
    scale, both = wanted.detach().std(), []
    for one in (found, wanted):
        first = torch.autograd.grad(((one / scale).sin() * weight).sum(), inputs, create_graph=True)
        total = sum((part**2).sum() for part in first)
        second = torch.autograd.grad(total, inputs) if found.dtype == torch.float64 else ()
        both.append([*first, *second])
    for ours, theirs in zip(*both, strict=True):
        agree(ours, theirs)


def with_bias(layer: Any, dtype: torch.dtype) -> Any:
    layer = layer.to(dtype)
    torch.nn.init.normal_(layer.bias, generator=torch.Generator().manual_seed(3))
    return layer


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("share", [0.005, 0.1, 1.0])
def test_submanifold_is_dense_convolution_at_the_voxels(kernel: int, share: float, dtype: torch.dtype) -> None:
    volume, layer = volume_of(share, dtype), with_bias(SubmanifoldConvolution(3, 4, kernel), dtype)
    dense = functional.conv3d(volume.dense(), layer.cube().transpose(0, 1), layer.bias, padding=kernel // 2)
    agree_with_gradients(layer, layer(volume).features, volume.read(dense).features, volume.features)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_strided_and_inverse_are_dense(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    volume, (kernel, stride, padding) = volume_of(0.1, dtype, seed=sum(shape)), shape
    down = with_bias(StridedConvolution(3, 4, *shape), dtype)
    coarse = down(volume)
    options = {"stride": stride, "padding": padding}
    wanted = functional.conv3d(volume.dense(), down.cube().transpose(0, 1), down.bias, **options)
    assert coarse.geometry.sides == wanted.shape[2:]
    seen = functional.conv3d(
        volume.with_features(torch.ones_like(volume.features[:, :1])).dense(),
        torch.ones(1, 1, kernel, kernel, kernel, dtype=dtype),
        **options,
    )
    assert torch.equal((seen[:, 0] > 0).nonzero(), coarse.coordinates)
    agree_with_gradients(down, coarse.features, coarse.read(wanted).features, volume.features)

    up = with_bias(InverseConvolution(4, 2, *shape), dtype)
    middle = coarse.with_features(coarse.features.detach().requires_grad_())
    found = up(middle, volume)
    # Voxels at the far border that no place sees get the bias alone.
    full = [(side - 1) * stride + kernel - 2 * padding for side in coarse.geometry.sides]
    more = [side - one for side, one in zip(SIDES, full, strict=True)]
    dense = functional.conv_transpose3d(middle.dense(), up.cube(), up.bias, **options, output_padding=tuple(more))
    agree_with_gradients(up, found.features, volume.read(dense).features, middle.features)


def test_gradients_by_differences() -> None:
    volume, layer = volume_of(0.02, samples=1), SubmanifoldConvolution(3, 2).double()

    def found(features: Tensor, weight: Tensor) -> Tensor:
        out = torch.func.functional_call(layer, {"weight": weight}, (volume.with_features(features),))
        return out.features

    assert torch.autograd.gradcheck(found, (volume.features, layer.weight))
    assert torch.autograd.gradgradcheck(found, (volume.features, layer.weight))


def test_a_batch_gives_what_its_volumes_give_alone() -> None:
    volume, layer = volume_of(0.1), SubmanifoldConvolution(3, 4).double()
    down = StridedConvolution(4, 4).double()
    up = InverseConvolution(4, 4).double()
    both = layer(volume)
    both = up(down(both), both)
    for sample in range(2):
        own = volume.coordinates[:, 0] == sample
        places = volume.coordinates[own] * torch.tensor([0, 1, 1, 1])
        alone = layer(SparseVolume(places, volume.features[own], SIDES))
        assert torch.allclose(up(down(alone), alone).features, both.features[own], rtol=0, atol=1e-13)


def test_the_order_of_voxels_does_not_matter() -> None:
    volume, layer = volume_of(0.1), SubmanifoldConvolution(3, 4).double()
    order = torch.randperm(len(volume.features), generator=torch.Generator().manual_seed(1))
    moved = SparseVolume(volume.coordinates[order], volume.features[order], SIDES)
    assert torch.allclose(layer(moved).features, layer(volume).features[order], rtol=0, atol=1e-13)


def test_rules_are_computed_once() -> None:
    volume = volume_of(0.1)
    coarse = StridedConvolution(3, 3).double()(volume)
    assert volume.geometry.near(3) is volume.map(torch.relu).geometry.near(3)
    assert StridedConvolution(3, 3).double()(volume).geometry is coarse.geometry


def test_weights_come_from_the_generator() -> None:
    one, same, other = (
        SubmanifoldConvolution(2, 3, generator=torch.Generator().manual_seed(seed)).weight for seed in (4, 4, 5)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


PLACES = torch.tensor([[0, 1, 1, 1], [0, 2, 2, 2]])


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: SparseVolume(PLACES[:0], torch.ones(0, 1), SIDES), DataError, "without any voxel"),
        (lambda: SparseVolume(PLACES[[0, 1, 0]], torch.ones(3, 1), SIDES), DataError, r"\[0, 1, 1, 1\] is there twice"),
        (lambda: SparseVolume(PLACES, torch.ones(2, 1), (7, 6, 2)), DataError, r"\[0, 2, 2, 2\] lies outside"),
        (lambda: SparseVolume(PLACES - 2, torch.ones(2, 1), SIDES), DataError, "lies outside"),
        (lambda: SparseVolume(PLACES + 1, torch.ones(2, 1), SIDES, samples=1), DataError, "outside 1 volumes"),
        (lambda: SparseVolume(PLACES.float(), torch.ones(2, 1), SIDES), ShapeError, "whole coordinates"),
        (lambda: SparseVolume(PLACES[:, 1:], torch.ones(2, 1), SIDES), ShapeError, "whole coordinates"),
        (lambda: SparseVolume(PLACES, torch.ones(3, 1), SIDES), ShapeError, r"need features \(2, C\)"),
        (lambda: SparseVolume(PLACES, torch.ones(2, 1)), OptionError, "three sides"),
        (lambda: SparseVolume(PLACES, torch.ones(2, 1), (7, 0, 3)), OptionError, "a side of a volume"),
        (lambda: SubmanifoldConvolution(2, 3)(SparseVolume(PLACES, torch.ones(2, 1), SIDES)), ShapeError, "2 channels"),
        (
            lambda: SubmanifoldConvolution(1, 3)(SparseVolume(PLACES, torch.ones(2, 1).double(), SIDES)),
            ShapeError,
            "of torch.float32",
        ),
        (lambda: SubmanifoldConvolution(1, 3, kernel=2), OptionError, "odd"),
        (lambda: StridedConvolution(1, 3, stride=0), OptionError, "stride"),
        (lambda: StridedConvolution(1, 3, padding=-1), OptionError, "padding"),
        (lambda: StridedConvolution(1, 3, 9)(SparseVolume(PLACES, torch.ones(2, 1), SIDES)), DataError, "not fit"),
    ],
)
def test_bad_input_gets_one_sentence(make: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_an_inverse_returns_to_its_own_voxels_only() -> None:
    volume = volume_of(0.1)
    coarse, up = StridedConvolution(3, 3).double()(volume), InverseConvolution(3, 3).double()
    assert up(coarse, volume).geometry is volume.geometry
    with pytest.raises(DataError, match="another origin"):
        up(coarse, volume_of(0.1, seed=1))
    with pytest.raises(DataError, match="without any voxel"):
        # Of 7 voxels along x, halves see 6.
        StridedConvolution(1, 1)(SparseVolume(torch.tensor([[0, 6, 0, 0]]), torch.ones(1, 1), SIDES))
