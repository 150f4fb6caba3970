"""Inner loops that have no fast form in torch, compiled with numba (extra `fast`).

Importing a module of this folder needs numba, so that it is done inside functions, where `usable` says that it can be.
What is compiled is kept on disk for the next process.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def usable(*tensors: Tensor) -> bool:
    """Whether compiled code can take these tensors: real, in the processor's memory, and numba is there."""
    known = all(tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64) for tensor in tensors)
    return known and importlib.util.find_spec("numba") is not None


@contextmanager
def alone() -> Iterator[None]:
    """Torch uses one thread within, for tensors so small that others are no help.

    Torch's other threads wait busily for their next work, for milliseconds, in which they keep processors from those of
    `in_threads`.
    """
    wanted = torch.get_num_threads()
    torch.set_num_threads(1)  # of this thread, and of those that start from here on
    try:
        yield
    finally:
        torch.set_num_threads(wanted)


def in_threads(work: Callable[[T], None], pieces: Iterable[T]) -> None:
    """Call `work`, which lets go of Python's lock, on each piece, in as many threads as torch uses.

    Within it torch uses one thread, so that the threads meet once, at the end, and not at each operation.
    """
    left = deque(pieces)
    others = min(torch.get_num_threads(), len(left)) - 1

    def take() -> None:
        while True:
            try:
                piece = left.popleft()
            except IndexError:  # perhaps another thread took the last one just now
                return
            work(piece)

    if others < 1:
        take()
        return
    with alone(), ThreadPoolExecutor(others) as pool:
        helped = [pool.submit(take) for _ in range(others)]
        take()
        for each in helped:
            each.result()
