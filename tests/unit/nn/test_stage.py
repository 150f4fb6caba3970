"""The parts of a ConvNet stage: against sums written out, at their limits, and with finite gradients everywhere."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from lowland.errors import OptionError
from lowland.nn.pooling import LogSumExpPool, LpPool
from lowland.nn.stage import DivisiveNormalisation, ScaledTanh, Shrinkage, StageNet, SubtractiveNormalisation


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weighted_mean(x: Tensor, side: int, width: float, row: int, column: int) -> Tensor:
    """Of all maps of one sample (C, H, W) around a place, weight by weight."""
    total, weights = torch.zeros((), dtype=x.dtype), 0.0
    for i in range(max(0, row - side // 2), min(x.shape[1], row + side // 2 + 1)):
        for j in range(max(0, column - side // 2), min(x.shape[2], column + side // 2 + 1)):
            weight = math.exp(-((i - row) ** 2 + (j - column) ** 2) / (2 * width**2))
            total, weights = total + weight * x[:, i, j].mean(), weights + weight
    return total / weights


@pytest.mark.parametrize("place", [(0, 0), (3, 4), (6, 8), (0, 5)])
def test_normalisations_are_the_sums_of_the_paper(place: tuple[int, int]) -> None:
    x = maps(2, 3, 7, 9)
    row, column = place
    subtracted = SubtractiveNormalisation(5, 1.5).double()(x)
    torch.testing.assert_close(
        subtracted[1, :, row, column], x[1, :, row, column] - weighted_mean(x[1], 5, 1.5, row, column)
    )
    divided = DivisiveNormalisation(5, 1.5).double()(x)
    deviation = torch.tensor(
        [[weighted_mean(x[1].square(), 5, 1.5, i, j).sqrt() for j in range(9)] for i in range(7)], dtype=torch.float64
    )
    scale = torch.maximum(deviation[row, column], deviation.mean())
    torch.testing.assert_close(divided[1, :, row, column], x[1, :, row, column] / scale)


def test_a_flat_image_stays_flat_at_the_borders() -> None:
    flat = torch.full((2, 4, 6, 20), 5.0)
    assert SubtractiveNormalisation(9)(flat).abs().max() < 1e-5


def test_division_does_not_depend_on_the_scale() -> None:
    x = maps(2, 3, 12, 12)
    normalise = DivisiveNormalisation().double()
    torch.testing.assert_close(normalise(x), normalise(1000 * x))


@pytest.mark.parametrize("make", [SubtractiveNormalisation, DivisiveNormalisation])
def test_a_batch_is_its_rows(make: type[nn.Module]) -> None:
    x, layer = maps(3, 2, 8, 8), make().double()
    torch.testing.assert_close(layer(x), torch.cat([layer(row[None]) for row in x]))


def test_non_linearities() -> None:
    a = torch.tensor([[-2.0, -0.05], [0.05, 2.0]])[None, None]
    torch.testing.assert_close(Shrinkage(1, 0.1)(a), torch.tensor([[-1.9, 0.0], [0.0, 1.9]])[None, None])
    # 1.7159 tanh(2/3) is 1 to five digits, as the paper chose A and S.
    torch.testing.assert_close(ScaledTanh()(torch.tensor(1.0)), torch.tensor(1.0), rtol=0, atol=5e-5)


def test_thresholds_are_learned_by_map() -> None:
    layer = Shrinkage(2, 0.5)
    layer(torch.tensor([[[[2.0]], [[0.1]]]])).sum().backward()
    assert layer.thresholds.grad is not None
    assert layer.thresholds.grad.tolist() == [-1.0, 0.0]


def windows(x: Tensor, side: int) -> Tensor:
    height, width = x.shape[2] // side, x.shape[3] // side
    cut = x[:, :, : height * side, : width * side].reshape(*x.shape[:2], height, side, width, side)
    return cut.transpose(3, 4).flatten(-2)


@pytest.mark.parametrize("mean", [False, True])
def test_lp_at_its_limits(mean: bool) -> None:
    x = maps(2, 3, 7, 6)
    sizes = windows(x, 2).abs()
    one = sizes.mean(dim=-1) if mean else sizes.sum(dim=-1)
    torch.testing.assert_close(LpPool(1, mean=mean)(x), one)
    square = sizes.square()
    two = (square.mean(dim=-1) if mean else square.sum(dim=-1)).sqrt()
    torch.testing.assert_close(LpPool(2, mean=mean)(x), two)
    most = sizes.amax(dim=-1)
    torch.testing.assert_close(LpPool(math.inf, mean=mean)(x), most)
    # Between n^(±1/p) times the maximum for n = 4 pixels, whatever the numbers are.
    torch.testing.assert_close(LpPool(1e6, mean=mean)(x), most, rtol=1.4e-6, atol=0)


def test_log_sum_exp_at_its_limits() -> None:
    x = maps(2, 3, 7, 6)
    values = windows(x, 2)
    torch.testing.assert_close(LogSumExpPool(3.0)(x), torch.logsumexp(3 * values, dim=-1) / 3)
    torch.testing.assert_close(LogSumExpPool(3.0, mean=True)(x), (3 * values).exp().mean(dim=-1).log() / 3)
    for mean in (False, True):
        torch.testing.assert_close(LogSumExpPool(math.inf, mean=mean)(x), values.amax(dim=-1))
        # It is within log(n) / b of the maximum for n = 4 pixels.
        torch.testing.assert_close(LogSumExpPool(1e6, mean=mean)(x), values.amax(dim=-1), rtol=0, atol=1.4e-6)
    torch.testing.assert_close(LogSumExpPool(0.0, mean=True)(x), values.mean(dim=-1))
    # The next term of the series is b/2 times the variance.
    torch.testing.assert_close(LogSumExpPool(1e-6, mean=True)(x), values.mean(dim=-1), rtol=0, atol=1e-5)


LAYERS = [
    *(LpPool(p, mean=mean) for p in (1, 1.5, 2, 3, 200, math.inf) for mean in (False, True)),
    *(LogSumExpPool(b, mean=mean) for b in (1e-4, 1, 500, math.inf) for mean in (False, True)),
    LogSumExpPool(0, mean=True),
    SubtractiveNormalisation(3),
    DivisiveNormalisation(3),
    Shrinkage(2),
    ScaledTanh(),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_gradients_are_finite_at_zero_and_for_large_values(layer: nn.Module) -> None:
    mixed = torch.zeros(1, 2, 4, 4)
    mixed[0, 0, 0, 0] = 30.0
    for value in (torch.zeros(1, 2, 4, 4), mixed, torch.full((1, 2, 4, 4), 1e4)):
        x = value.clone().requires_grad_()
        out = layer(x)
        (gradient,) = torch.autograd.grad(out.sum(), x)
        assert bool(torch.isfinite(out).all())
        assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if not isinstance(layer, Shrinkage)], ids=str)
def test_gradients_agree_with_finite_differences(layer: nn.Module) -> None:
    x = maps(1, 2, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(layer.double(), (x,))


def test_windows_may_overlap() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert LpPool(1, side=2, stride=1)(x).flatten().tolist() == [8.0, 12.0, 20.0, 24.0]


def test_bad_options_get_one_sentence() -> None:
    for make, words in (
        (lambda: SubtractiveNormalisation(4), "odd"),
        (lambda: DivisiveNormalisation(5, width=0.0), "width"),
        (lambda: LpPool(0.5), "at least 1"),
        (lambda: LpPool(math.nan), "at least 1"),
        (lambda: LpPool(2, side=0), "side"),
        (lambda: LogSumExpPool(0.0), "positive"),
        (lambda: LogSumExpPool(-1.0, mean=True), "positive"),
        (lambda: Shrinkage(2, -1.0), "threshold"),
    ):
        with pytest.raises(OptionError, match=words):
            make()


def test_a_net_of_stages_does_not_see_the_contrast() -> None:
    net = StageNet((2, 32, 32), 5, maps=(4, 6, 8))
    images = torch.rand(3, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = net.maps(images)
    assert [tuple(one.shape[1:]) for one in maps] == [(2, 32, 32), (4, 14, 14), (6, 5, 5), (8, 1, 1)]
    torch.testing.assert_close(net(images), net.read(maps[-1].flatten(1)))
    torch.testing.assert_close(net(0.3 * images + 0.2), net(images), rtol=1e-3, atol=1e-4)
    for size in (30, 12):
        with pytest.raises(OptionError, match="squares of 4 n pixels, 16 or more"):
            StageNet((2, size, size), 5)
    with pytest.raises(OptionError, match="they are 32 × 28"):
        StageNet((2, 32, 28), 5)
