"""The numbers of a model as one vector: its parameters and its floating-point buffers, as those of batch norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowland.errors import ShapeError, check_instance
from lowland.training.averaging.wire import DTYPES


class Flat:
    """Reads and writes all numbers of a model at once.

    A subclass may do so for a model that lies elsewhere: it needs `size`, `dtype`, `read` and `write`, and `buffers`
    where some of the numbers are those of buffers.

    Args:
        model: all of its floating-point numbers must have one dtype.

    Raises:
        ShapeError: if they have several dtypes, or one that cannot travel, or there are none.

    >>> model = nn.Linear(2, 1)
    >>> flat = Flat(model)
    >>> flat.write(torch.tensor([1.0, 2.0, 3.0]))
    >>> model.weight.tolist(), model.bias.tolist(), flat.read().tolist()
    ([[1.0, 2.0]], [3.0], [1.0, 2.0, 3.0])
    """

    buffers = 0
    """How many of the tensors are buffers."""

    def __init__(self, model: nn.Module) -> None:
        check_instance(model, nn.Module, "The model")
        self._tensors = [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]
        found = {tensor.dtype for tensor in self._tensors}
        if len(found) != 1 or not found <= set(DTYPES):
            kinds = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in found)) or "none"
            raise ShapeError(
                "The numbers of a model travel as one vector: its parameters and floating-point buffers must have one "
                f"dtype of float32, float64, float16 or bfloat16, but they have: {kinds}. Convert it with model.to."
            )
        self.buffers = len(self._tensors) - len(list(model.parameters()))
        self.dtype = found.pop()
        self._sizes = [tensor.numel() for tensor in self._tensors]
        self.size = sum(self._sizes)

    def read(self) -> Tensor:
        """A copy of all numbers on the CPU, (N,)."""
        parts = [tensor.detach().reshape(-1) for tensor in self._tensors]
        if len({part.device for part in parts}) == 1:
            return torch.cat(parts).to("cpu")  # one transfer from an accelerator
        return torch.cat([part.to("cpu") for part in parts])

    @torch.no_grad()
    def write(self, x: Tensor) -> None:
        """Give the model the numbers (N,)."""
        if len(places := {tensor.device for tensor in self._tensors}) == 1:
            x = x.to(places.pop())
        for tensor, part in zip(self._tensors, x.split(self._sizes), strict=True):
            tensor.copy_(part.view(tensor.shape))
