"""Several processes that train as one, as torchrun starts them: who is which, and what each has, brought together.

Process r of W has rows r B … (r + 1) B of each global batch of W B samples. Embeddings are gathered with their
gradients, and gradients of parameters are averaged, so that W processes take the step that one would take on the
global batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

_apart: ContextVar[bool] = ContextVar("apart", default=False)


class Place(NamedTuple):
    """Which of how many processes this is."""

    rank: int
    size: int


def place() -> Place:
    """The place of this process among those that train together; (0, 1) where it trains alone."""
    if _apart.get() or not distributed.is_available() or not distributed.is_initialized():
        return Place(0, 1)
    return Place(distributed.get_rank(), distributed.get_world_size())


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Within it this process is alone: for what all do alike on the same data, such as validation."""
    token = _apart.set(True)
    try:
        yield
    finally:
        _apart.reset(token)


class _Gather(torch.autograd.Function):
    """Rows of all processes; the gradient of the rows of one is the sum of those that the losses of all have there."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(place().size)]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total.chunk(place().size)[place().rank]


def gathered(part: Tensor) -> Tensor:
    """The rows (B, …) of every process, one after another, (N, …), with gradients to all of them."""
    return part if place().size == 1 else _Gather.apply(part)


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over the processes, in place; all of one type travel as one."""
    size = place().size
    if size == 1:
        return
    for dtype in {tensor.dtype for tensor in tensors}:
        alike = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.flatten() for tensor in alike])
        distributed.all_reduce(flat)
        for tensor, mean in zip(alike, flat.div_(size).split([t.numel() for t in alike]), strict=True):
            tensor.copy_(mean.view_as(tensor))


@torch.no_grad()
def as_first(module: nn.Module) -> None:
    """Give every process the parameters and buffers of the first."""
    if place().size > 1:
        for tensor in [*module.parameters(), *module.buffers()]:
            distributed.broadcast(tensor, src=0)


def of_first(number: float) -> float:
    """The number that the first process has."""
    if place().size == 1:
        return number
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor(number, dtype=torch.float64, device=device)
    distributed.broadcast(shared, src=0)
    return float(shared)
