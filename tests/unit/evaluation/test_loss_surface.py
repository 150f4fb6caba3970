"""Many networks at once are the networks one by one, and the Hessian is that of their loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.evaluation.loss_surface import (
    Curvature,
    TwoLayer,
    curvature,
    draw_starts,
    losses,
    outputs,
    spread,
    train_starts,
)


@pytest.fixture
def digits(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points of three classes."""
    labels = torch.arange(60) % 3
    return torch.randn(60, 5, generator=generator) + labels[:, None], labels


def module(weights: TwoLayer, s: int) -> nn.Sequential:
    first, second = nn.Linear(5, 7), nn.Linear(7, 3)
    with torch.no_grad():
        first.weight.copy_(weights.first[s].T)
        first.bias.copy_(weights.first_bias[s])
        second.weight.copy_(weights.second[s].T)
        second.bias.copy_(weights.second_bias[s])
    return nn.Sequential(first, nn.ReLU(), second)


def test_each_start_is_trained_as_if_it_were_alone(
    digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, labels = digits
    start = draw_starts((5, 7, 3), 4, torch.Generator().manual_seed(1))
    options = {"epochs": 3, "rate": 0.1, "batch": 20}
    kept = [part.clone() for part in start]
    together = train_starts(start, x, labels, generator=torch.Generator().manual_seed(2), **options)
    assert all(torch.equal(a, b) for a, b in zip(kept, start, strict=True))
    monkeypatch.setattr("lowland.evaluation.loss_surface._TOGETHER", 14)  # two at once
    apart = train_starts(start, x, labels, generator=torch.Generator().manual_seed(2), **options)
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    # And as torch's own modules and loop train it.
    draw = torch.Generator().manual_seed(2)
    order = torch.cat([torch.randperm(60, generator=draw) for _ in range(3)]).reshape(-1, 20)
    alone = module(start, 2)
    optimiser = torch.optim.SGD(alone.parameters(), 0.1, momentum=0.9)
    for step, chosen in enumerate(order):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / len(order))
        optimiser.zero_grad()
        functional.cross_entropy(alone(x[chosen]), labels[chosen]).backward()
        optimiser.step()
    torch.testing.assert_close(outputs(together, x)[2], alone(x).detach(), rtol=1e-4, atol=1e-5)


def test_losses_are_those_of_the_networks(digits: tuple[Tensor, Tensor]) -> None:
    x, labels = digits
    start = draw_starts((5, 7, 3), 3, torch.Generator().manual_seed(1))
    expected = [functional.cross_entropy(module(start, s)(x), labels).item() for s in range(3)]
    assert losses(start, x, labels).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_hessian_is_that_of_the_loss(digits: tuple[Tensor, Tensor]) -> None:
    """A second difference of the loss along an eigenvector of a random start, which has falling directions too."""
    x, labels = digits
    start = draw_starts((5, 7, 3), 1, torch.Generator().manual_seed(1))
    found = curvature(start, x, labels, chunk=5)[0]
    assert found.eigenvalues.shape == (5 * 7 + 7 + 7 * 3 + 3,)
    assert found.loss == pytest.approx(losses(start, x, labels).item(), rel=1e-5)
    shapes = [part[0].shape for part in start]
    flat = torch.cat([part[0].double().flatten() for part in start])

    def loss(flat: Tensor) -> Tensor:
        first, bias, second, last = (
            piece.view(shape) for piece, shape in zip(flat.split([s.numel() for s in shapes]), shapes, strict=True)
        )
        return functional.cross_entropy((x.double() @ first + bias).relu() @ second + last, labels)

    whole = torch.autograd.functional.hessian(loss, flat)
    assert isinstance(whole, Tensor)
    torch.testing.assert_close(torch.linalg.eigvalsh(whole), found.eigenvalues, rtol=1e-6, atol=1e-9)
    slope = torch.autograd.functional.jacobian(loss, flat)
    assert isinstance(slope, Tensor)
    assert found.gradient == pytest.approx(slope.norm().item(), rel=1e-6)
    assert found.negative() > 0


def test_the_index_leaves_out_flat_directions() -> None:
    found = Curvature(0.1, 0.0, torch.tensor([-2.0, -0.5e-3, 0.0, 1.0, 3.0]))
    assert found.negative() == pytest.approx(0.2)
    assert found.negative(threshold=1e-4) == pytest.approx(0.4)


def test_a_spread_covers_the_deviation_as_often_as_it_says() -> None:
    """Of 200 normal draws of 100: 95 % ± three standard errors of 1.5 %, less 3 points that the bootstrap lacks."""
    draw = torch.Generator().manual_seed(0)
    found = [spread(torch.randn(100, generator=draw), np.random.default_rng(0), draws=400) for _ in range(200)]
    assert 0.87 < np.mean([one.low <= 1 <= one.high for one in found]) < 0.99
    with pytest.raises(ShapeError, match="two values"):
        spread(torch.ones(1), np.random.default_rng(0))


def test_fewer_samples_than_a_batch() -> None:
    start = draw_starts((2, 2, 2), 1, torch.Generator().manual_seed(0))
    with pytest.raises(OptionError, match="batch of 100"):
        train_starts(
            start,
            torch.ones(3, 2),
            torch.zeros(3).long(),
            epochs=1,
            rate=0.1,
            generator=torch.Generator().manual_seed(0),
        )
