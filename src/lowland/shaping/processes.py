"""Data-parallel training under torchrun: the rank of this process, and collectives with gradients.

Process r of W has rows r B … (r + 1) B of each global batch of W B samples. Embeddings are gathered with their
gradients, and gradients of parameters are averaged, so W processes take the same step as one process on the global
batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, distributed, nn

_alone: ContextVar[bool] = ContextVar("alone", default=False)


def rank() -> int:
    """The rank of this process; 0 if it trains alone."""
    return distributed.get_rank() if _together() else 0


def world_size() -> int:
    """The number of processes that train together; 1 if this one trains alone."""
    return distributed.get_world_size() if _together() else 1


def _together() -> bool:
    return not _alone.get() and distributed.is_available() and distributed.is_initialized()


@contextlib.contextmanager
def single_process() -> Iterator[None]:
    """Disable collectives inside the block: for work that all processes do on the same data, such as validation."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


class _Gather(torch.autograd.Function):
    """Rows of all processes; the gradient of a process's rows is the sum over the losses of all processes."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(world_size())]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total.chunk(world_size())[rank()]


def gathered(part: Tensor) -> Tensor:
    """The rows (B, …) of every process, one after another, (N, …), with gradients to all of them."""
    return part if world_size() == 1 else _Gather.apply(part)


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over the processes, in place; tensors of one dtype are sent together."""
    size = world_size()
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
    if world_size() > 1:
        for tensor in [*module.parameters(), *module.buffers()]:
            distributed.broadcast(tensor, src=0)


def of_first(number: float) -> float:
    """The number that the first process has."""
    if world_size() == 1:
        return number
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor(number, dtype=torch.float64, device=device)
    distributed.broadcast(shared, src=0)
    return float(shared)
