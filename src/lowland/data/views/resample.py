"""Resampling along an axis as a matrix for each sample: crop, resize, flip and blur are then two matrix products.

Shape letters: B samples, O outputs, I inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor


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

    >>> interpolation(torch.zeros(1), torch.tensor([4.0]), inputs=4, outputs=2)
    tensor([[[0.4286, 0.4286, 0.1429, 0.0000],
             [0.0000, 0.1429, 0.4286, 0.4286]]])
    """
    cell = span / outputs
    centre_BO = torch.addcmul(first[:, None], cell[:, None], _centres(outputs, first))
    slope = -1 / cell.abs().clamp_min(1)
    distance_BOI = (centre_BO[:, :, None] - _centres(inputs, first)).abs_()
    weight_BOI = distance_BOI.mul_(slope[:, None, None]).add_(1).clamp_min_(0)
    return weight_BOI.div_(weight_BOI.sum(dim=2, keepdim=True))


def gaussian(sigma: Tensor, pixels: int) -> Tensor:
    """Weights (B, I, I) of a blur: w_i ∝ exp(−(i − o)² / 2σ²), of sum one at the borders too; σ (B,) in pixels."""
    place = _centres(pixels, sigma)
    distance = (place[:, None] - place).square()
    weight_BII = (distance * (-0.5 / sigma.square())[:, None, None]).exp_()
    return weight_BII.div_(weight_BII.sum(dim=2, keepdim=True))


def apply(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """R X Cᵀ of each channel: (B, C, H, W) with weights (B, O, H) of the rows and (B, P, W) of the columns."""
    return (rows[:, None] @ image) @ columns.mT[:, None]


def _centres(pixels: int, like: Tensor) -> Tensor:
    return torch.arange(pixels, device=like.device).to(like).add_(0.5)
