"""Collisions of cars: overlap of rotated rectangles.

All tensors are broadcast over their leading axes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def overlap(one: Tensor, one_size: Tensor, other: Tensor, other_size: Tensor) -> Tensor:
    """Whether two rectangles overlap, by the separating axis theorem on their four axes.

    Args:
        one, other: (…, 4): centre and unit vector of the heading.
        one_size, other_size: (…, 2): length and width.

    >>> here, ahead = torch.tensor([0.0, 0.0, 1.0, 0.0]), torch.tensor([4.0, 0.0, 1.0, 0.0])
    >>> overlap(here, torch.tensor([4.5, 1.8]), ahead, torch.tensor([4.5, 1.8]))
    tensor(True)
    """
    gap = other[..., :2] - one[..., :2]
    cosine = (one[..., 2:] * other[..., 2:]).sum(-1).abs()
    sine = (one[..., 2] * other[..., 3] - one[..., 3] * other[..., 2]).abs()
    apart = torch.zeros_like(cosine, dtype=torch.bool)
    for axis, mine, theirs in ((one, one_size, other_size), (other, other_size, one_size)):
        dx, dy = axis[..., 2], axis[..., 3]
        along = (gap[..., 0] * dx + gap[..., 1] * dy).abs()
        across = (gap[..., 1] * dx - gap[..., 0] * dy).abs()
        apart = apart | (2 * along > mine[..., 0] + theirs[..., 0] * cosine + theirs[..., 1] * sine)
        apart = apart | (2 * across > mine[..., 1] + theirs[..., 0] * sine + theirs[..., 1] * cosine)
    return ~apart
