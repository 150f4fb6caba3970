"""Many starts of one small network at once: how far apart their losses end, and the curvature there (system O3).

Shape letters: S starts, N samples, D inputs, H hidden units, K classes, P weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.evaluation.success import Interval

_TOGETHER = 5000
"""Hidden units of all starts that are trained at once: their weights stay in the processor's cache."""


class TwoLayer(NamedTuple):
    """Weights of S networks W₂ᵀ max(0, W₁ᵀ x + b₁) + b₂: (S, D, H), (S, H), (S, H, K) and (S, K)."""

    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor


def draw_starts(sizes: tuple[int, int, int], starts: int, generator: torch.Generator) -> TwoLayer:
    """First weights of S networks of D, H and K units, N(0, 2/D) and N(0, 2/H) (He et al. 2015); biases are 0.

    >>> draw_starts((4, 3, 2), 5, torch.Generator().manual_seed(0)).second.shape
    torch.Size([5, 3, 2])
    """
    inputs, hidden, classes = sizes
    first = torch.randn(starts, inputs, hidden, generator=generator) * math.sqrt(2 / inputs)
    second = torch.randn(starts, hidden, classes, generator=generator) * math.sqrt(2 / hidden)
    return TwoLayer(first, torch.zeros(starts, hidden), second, torch.zeros(starts, classes))


def train_starts(
    start: TwoLayer,
    x: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    rate: float,
    generator: torch.Generator,
    batch: int = 100,
    momentum: float = 0.9,
    progress: Callable[[int], None] | None = None,
) -> TwoLayer:
    """Train all networks by stochastic gradient descent on the cross-entropy, on the same batches in the same order.

    The rate falls linearly to 0. So networks differ by their starts alone. The first layer of all of them is one matrix
    product, the second a batched one.

    Args:
        start: first weights.
        x, labels: (N, D), and (N,) int64.
        epochs: passes through the samples.
        rate: learning rate at first.
        generator: of the order of samples.
        batch, momentum: of the descent.
        progress: called with the number of starts that are done.

    Raises:
        OptionError: for fewer samples than one batch.

    >>> draw = torch.Generator().manual_seed(0)
    >>> x, start = torch.tensor([[1.0], [-1.0]]), draw_starts((1, 4, 2), 3, draw)
    >>> trained = train_starts(start, x, torch.tensor([0, 1]), epochs=50, rate=0.1, generator=draw, batch=2)
    >>> bool((losses(trained, x, torch.tensor([0, 1])) < losses(start, x, torch.tensor([0, 1]))).all())
    True
    """
    if len(x) < batch:
        raise OptionError(f"There are {len(x)} samples, fewer than a batch of {batch}.")
    steps = len(x) // batch
    order = torch.stack([torch.randperm(len(x), generator=generator)[: steps * batch] for _ in range(epochs)])
    order = order.reshape(-1, batch).to(x.device)
    count, _, hidden = start.first.shape
    together, done = max(1, _TOGETHER // hidden), []
    for low in range(0, count, together):
        done.append(_descend([one[low : low + together] for one in start], x, labels, order, rate, momentum))
        if progress is not None:
            progress(min(count, low + together))
    return TwoLayer(*(torch.cat(parts) for parts in zip(*done, strict=True)))


def _descend(
    start: Sequence[Tensor], x: Tensor, labels: Tensor, order: Tensor, rate: float, momentum: float
) -> list[Tensor]:
    first, first_bias, second, second_bias = start
    count, inputs, hidden = first.shape
    # Units of all starts side by side, so that the first layer is one product for all of them.
    weights = [
        first.permute(1, 0, 2).reshape(inputs, -1).clone(), first_bias.reshape(-1).clone(), second.clone(),
        second_bias[:, None].clone(),
    ]  # fmt: skip
    for weight in weights:
        weight.requires_grad_(True)
    optimiser = torch.optim.SGD(weights, rate, momentum=momentum)
    with torch.enable_grad():
        for step, chosen in enumerate(order):
            optimiser.param_groups[0]["lr"] = rate * (1 - step / len(order))
            units = torch.addmm(weights[1], x[chosen], weights[0]).relu()
            scores = torch.baddbmm(weights[3], units.view(-1, count, hidden).transpose(0, 1), weights[2])
            given = labels[chosen].repeat(count)
            # A sum over starts: the gradient of each start is that of its own mean over the batch.
            loss = functional.cross_entropy(scores.flatten(0, 1), given, reduction="sum") / len(chosen)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    units, bias, second, second_bias = (weight.detach() for weight in weights)
    first = units.reshape(inputs, count, hidden).permute(1, 0, 2).contiguous()
    return [first, bias.reshape(count, hidden), second, second_bias[:, 0]]


@torch.no_grad()
def outputs(weights: TwoLayer, x: Tensor) -> Tensor:
    """Scores (S, N, K) of all networks for samples (N, D)."""
    units = torch.baddbmm(weights.first_bias[:, None], x.expand(len(weights.first), -1, -1), weights.first).relu()
    return torch.baddbmm(weights.second_bias[:, None], units, weights.second)


def losses(weights: TwoLayer, x: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy (S,) of each network on samples (N, D) with labels (N,), in nats."""
    return torch.cat([
        functional.cross_entropy(outputs(TwoLayer(*(part[s : s + 1] for part in weights)), x)[0], labels)[None]
        for s in range(len(weights.first))
    ])  # fmt: skip


def spread(values: Tensor, generator: np.random.Generator, draws: int = 2000, share: float = 0.95) -> Interval:
    """Standard deviation of values (S,), with the percentile interval over values resampled with replacement.

    Source: Efron & Tibshirani, "An introduction to the bootstrap" (1993), section 13.3.

    Raises:
        ShapeError: for fewer than two values.

    >>> found = spread(torch.randn(400, generator=torch.Generator().manual_seed(0)), np.random.default_rng(0))
    >>> found.low < 1 < found.high
    True
    """
    table = values.double().cpu().numpy()
    if table.ndim != 1 or len(table) < 2:
        raise ShapeError(f"A spread needs at least two values in a row, not {tuple(values.shape)}.")
    found = table[generator.integers(len(table), size=(draws, len(table)))].std(axis=1, ddof=1)
    low, high = np.quantile(found, [(1 - share) / 2, (1 + share) / 2])
    return Interval(float(table.std(ddof=1)), float(low), float(high))


class Curvature(NamedTuple):
    """Of one network: its loss, the norm of the gradient, and the eigenvalues (P,) of the Hessian, rising."""

    loss: float
    gradient: float
    eigenvalues: Tensor

    def negative(self, threshold: float = 1e-3) -> float:
        """The index: share of eigenvalues below −threshold; 0 at a minimum. Those nearer to 0 count as flat directions.

        >>> Curvature(1.0, 0.0, torch.tensor([-1.0, -1e-6, 0.0, 2.0])).negative()
        0.25
        """
        return (self.eigenvalues < -threshold).double().mean().item()


def curvature(weights: TwoLayer, x: Tensor, labels: Tensor, chunk: int = 32) -> list[Curvature]:
    """The Hessian of the mean cross-entropy on (x, labels) for each network, in double precision.

    Rectifiers have no curvature of their own; where no unit is exactly at its threshold this is the Hessian of the
    piece of the loss in which the weights lie.

    Args:
        weights: few networks, and small ones: the Hessian has P² entries.
        x, labels: (N, D) and (N,).
        chunk: rows of the Hessian computed at once.

    >>> start = draw_starts((3, 2, 2), 1, torch.Generator().manual_seed(0))
    >>> found = curvature(start, torch.eye(3), torch.tensor([0, 1, 0]))[0]
    >>> found.eigenvalues.shape, found.loss > 0
    (torch.Size([14]), True)
    """
    x, found = x.double(), []
    for s in range(len(weights.first)):
        parts = [part[s].double() for part in weights]
        shapes = [part.shape for part in parts]
        flat = torch.cat([part.flatten() for part in parts])

        def loss(flat: Tensor, shapes: list[torch.Size] = shapes) -> Tensor:
            pieces = flat.split([shape.numel() for shape in shapes])
            first, first_bias, second, second_bias = (p.view(shape) for p, shape in zip(pieces, shapes, strict=True))
            units = (x @ first + first_bias).relu()
            return functional.cross_entropy(units @ second + second_bias, labels)

        slope = torch.func.grad(loss)
        hessian = torch.func.jacrev(slope, chunk_size=chunk)(flat)
        assert isinstance(hessian, Tensor)
        eigenvalues = torch.linalg.eigvalsh(0.5 * (hessian + hessian.T))
        found.append(Curvature(loss(flat).item(), slope(flat).norm().item(), eigenvalues))
    return found
