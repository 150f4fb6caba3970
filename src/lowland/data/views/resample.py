"""Resampling along an axis as a matrix for each sample: crop, resize, flip and blur are then two matrix products.

Channels come before samples, so that a channel of all samples lies together. Shape letters: B samples, C channels, O
outputs, I inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FAR = 60.0


def interpolation(first: Tensor, span: Tensor, inputs: int, outputs: int) -> Tensor:
    """Weights (B, O, I) of linear interpolation from the interval [first, first + span] of an axis, cut in O cells.

    Output o stands at the centre c of its cell and is Σ_i w_i x_i with w_i ∝ max(0, 1 − |i + ½ − c| / r), r the width
    of a cell or 1, whichever is larger, so that there is no aliasing where the interval shrinks: the bilinear filter of
    Pillow. A negative span runs backwards, which is a flip.

    Args:
        first: (B,) where the interval begins, in pixels; pixel i covers [i, i + 1].
        span: (B,) its length.
        inputs: I, the number of pixels.
        outputs: O.

    >>> interpolation(torch.zeros(1), torch.tensor([4.0]), inputs=4, outputs=2).abs()
    tensor([[[0.4286, 0.4286, 0.1429, 0.0000],
             [0.0000, 0.1429, 0.4286, 0.4286]]])
    """
    cell = span / outputs
    centre_BO = torch.addcmul(first[:, None], cell[:, None], _centres(outputs, first))
    scale = 1 / cell.abs().clamp_min(1)
    distance_BOI = (scale[:, None] * centre_BO)[:, :, None] - (scale[:, None] * _centres(inputs, first))[:, None]
    weight_BOI = distance_BOI.abs_().sub_(1).clamp_max_(0)  # of the wrong sign, which the division puts right
    return weight_BOI.div_(weight_BOI.sum(dim=2, keepdim=True))


def gaussian(sigma: Tensor, pixels: int) -> Tensor:
    """Weights (B, I, I) of a blur, w_i ∝ exp(−(i − o)² / 2σ²), of sum one at the borders too; σ (B,) in pixels."""
    place = torch.arange(pixels, device=sigma.device)
    # Weights below 1e-26 would be denormal numbers before long, which processors are slow at.
    fall = (place.square() * (-0.5 / sigma.square())[:, None]).clamp_min_(-_FAR).exp_()
    weight_BII = fall[:, (place[:, None] - place).abs()]
    return weight_BII.div_(weight_BII.sum(dim=2, keepdim=True))


def apply(channels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """R X Cᵀ of each channel: (C, B, H, W) with weights (B, O, H) of the rows and (B, P, W) of the columns."""
    count, across = len(channels), columns.mT
    made = channels.new_empty(count, len(rows), rows.shape[1], columns.shape[1])
    for channel in range(count):
        torch.bmm(torch.bmm(rows, channels[channel]), across, out=made[channel])
    return made


def _centres(pixels: int, like: Tensor) -> Tensor:
    return torch.arange(pixels, device=like.device).to(like).add_(0.5)
