"""Resampling along an axis as one matrix per sample: crop, resize, flip and blur become two matrix products.

Channels come before samples, so that a channel is contiguous over all samples. Shape letters: B samples, C channels, O
outputs, I inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FAR = 60.0


def cells(first: Tensor, span: Tensor, inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
    """Cut an interval [first, first + span] of an axis into O cells: positions (B, O) of centres and (B, I) of pixels.

    Both are in units of the cell width or 1, whichever is larger. A negative span runs backwards.

    Args:
        first: (B,) start of the interval, in pixels; pixel i covers [i, i + 1].
        span: (B,) its length.
        inputs: I, the number of pixels.
        outputs: O.
    """
    cell = span[:, None] / outputs
    scale = cell.abs().clamp_min_(1).reciprocal_()
    centres = torch.addcmul(first[:, None], cell, _centres(outputs, first))
    return centres.mul_(scale), scale * _centres(inputs, first)


def interpolation(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Weights (B, O, I) of linear interpolation, w_i ∝ max(0, 1 − |p_i − c|), with positions c, p from `cells`.

    Shrinking does not alias: the filter is then as wide as a cell, like Pillow's bilinear one.

    >>> interpolation(*cells(torch.zeros(1), torch.tensor([4.0]), inputs=4, outputs=2)).abs()
    tensor([[[0.4286, 0.4286, 0.1429, 0.0000],
             [0.0000, 0.1429, 0.4286, 0.4286]]])
    """
    # With the wrong sign, which the division corrects.
    weight_BOI = (outputs[:, :, None] - inputs[:, None]).abs_().sub_(1).clamp_max_(0)
    return weight_BOI.div_(weight_BOI.sum(dim=2, keepdim=True))


def gaussian(sigma: Tensor, pixels: int) -> Tensor:
    """Weights (B, I, I) of a blur, w_i ∝ exp(−(i − o)² / 2σ²), normalised at the borders too; σ (B,) in pixels."""
    place = _centres(pixels, sigma)
    squared = (place[:, None] - place).square_()
    # Products of weights below 1e-26 would become denormal numbers, which are slow to compute with.
    weight_BII = (squared * (-0.5 / sigma.square())[:, None, None]).clamp_min_(-_FAR).exp_()
    return weight_BII.div_(weight_BII.sum(dim=2, keepdim=True))


def resample(channels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """R X Cᵀ of each channel: (C, B, H, W) with weights (B, O, H) of the rows and (B, P, W) of the columns."""
    count, across = len(channels), columns.mT
    made = channels.new_empty(count, len(rows), rows.shape[1], columns.shape[1])
    # Mixed precision is for networks: three digits are too few for positions, and products with `out` lack it.
    with torch.autocast(made.device.type, enabled=False):
        for channel in range(count):
            torch.bmm(torch.bmm(rows, channels[channel]), across, out=made[channel])
    return made


def _centres(pixels: int, like: Tensor) -> Tensor:
    return torch.arange(0.5, pixels, device=like.device, dtype=like.dtype)
