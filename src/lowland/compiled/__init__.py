"""Inner loops that have no fast form in torch, compiled with numba (extra `fast`).

Importing a module of this folder needs numba, so that it is done inside functions, where `usable` says that it can be.
What is compiled is kept on disk for the next process.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def usable(*tensors: Tensor) -> bool:
    """Whether compiled code can take these tensors: real, in the processor's memory, and numba is there."""
    known = all(tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64) for tensor in tensors)
    return known and importlib.util.find_spec("numba") is not None


def in_threads(work: Callable[[T], None], pieces: Iterable[T]) -> None:
    """Call `work`, which lets go of Python's lock, on each piece, in as many threads as torch uses.

    Within it torch uses one thread, so that the threads meet once, at the end, and not at each operation.
    """
    pieces, wanted = list(pieces), torch.get_num_threads()
    threads = min(wanted, len(pieces))
    if threads <= 1:
        for piece in pieces:
            work(piece)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(work, pieces))
    finally:
        torch.set_num_threads(wanted)  # a thread sets its own number, and that of threads that start later
