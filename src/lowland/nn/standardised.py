"""An encoder that standardises what it is given, so that whoever uses it cannot forget to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowland.data.prepare import Prepare
from lowland.errors import DomainError, ShapeError


class Standardised(nn.Module):
    """h((x − m) / d), with the mean m and the deviation d of each channel, which are stored with the weights.

    Args:
        encoder: h, (B, *shape) → (B, size), with both as attributes.
        prepare: makes such samples of files and arrays: `encoder.prepare(path)`. What it would not have made is refused
            in evaluation mode; where the graph is recorded, as for ONNX, only types and shapes are looked at.

    Raises:
        ShapeError: when called with samples of another shape, or other than real numbers.
        DomainError: when called with samples that `prepare` refuses.

    >>> from lowland.nn.encoders.perceptron import Perceptron
    >>> encoder = Standardised(Perceptron((8,), size=16))
    >>> encoder(torch.zeros(2, 8)).shape, encoder.shape, encoder.size
    (torch.Size([2, 16]), (8,), 16)
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: nn.Module, prepare: Prepare | None = None) -> None:
        super().__init__()
        self.encoder, self.prepare = encoder, prepare
        self.shape: tuple[int, ...] = tuple(encoder.shape)  # pyright: ignore[reportArgumentType]
        self.size: int = encoder.size  # pyright: ignore[reportAttributeAccessIssue]
        channels = (self.shape[0], *(1 for _ in self.shape[1:]))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def measure(self, sample: Tensor) -> None:
        """Take m and d from samples (N, *shape); a channel that varies no more than by rounding has d = 1.

        Raises:
            DomainError: for two or more samples that are all the same: nothing can be learned from them.
        """
        if len(sample) > 1 and bool((sample == sample[0]).all()):
            raise DomainError(
                f"All {len(sample)} samples that were looked at are the same, so that there is nothing to learn from."
            )
        axes = [0, *range(2, sample.ndim)]
        self.mean.copy_(sample.mean(dim=axes).view_as(self.mean))
        spread = sample.std(dim=axes, correction=0).view_as(self.mean)
        size = sample.abs().amax(dim=axes).view_as(self.mean)
        self.deviation.copy_(torch.where(spread > 10 * torch.finfo(sample.dtype).eps * size, spread, 1.0))

    def forward(self, sample: Tensor) -> Tensor:
        # One channel would be standardised to three, and another size would be pooled away, both silently.
        if tuple(sample.shape[1:]) != self.shape or not sample.is_floating_point():
            raise ShapeError(
                f"The encoder takes float32 (B, {', '.join(map(str, self.shape))}), not {sample.dtype} "
                f"{tuple(sample.shape)}."
            )
        recorded = torch.compiler.is_compiling()
        if self.prepare is not None and not self.training and not recorded:
            self.prepare.check(sample)
        return self.encoder((sample - self.mean) / self.deviation)
