"""Two layers of convolutional sparse coding: what the second sees of the first, and what it looks like in pixels.

Legend: N images, K filters of the first layer, K₂ of the second, h side of a filter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.energies.convolutional_sparse_coding import ConvolutionalSparseCoding
from lowland.inference import infer
from lowland.solvers.admm import ADMM

POOL = 2
"""Side of the neighbourhoods of codes whose largest size the second layer sees."""
CLOSE = ADMM(max_steps=60, tol=None)
"""Enough for codes that only a second layer sees."""


def decoder(energy: ConvolutionalSparseCoding) -> ConvolutionalSparseCoding:
    """The same filters without an encoder: E(y, z) = ½‖y − W ∗ z‖² + λ‖z‖₁."""
    channels, height, width = energy.domain("y").shape
    count, _, size, _ = energy.filters.shape
    bare = ConvolutionalSparseCoding((channels, height, width), count, size, energy.sparsity).to(energy.filters)
    bare.load_state_dict({"filters": energy.filters.detach()})
    return bare


def pooled(coding: ConvolutionalSparseCoding, y: Tensor) -> Tensor:
    """(N, 2K, H/2, W/2): the largest positive and the largest negative code of each neighbourhood, both as sizes."""
    with torch.no_grad():
        z = torch.cat([infer(coding, y=part, over="z", solver=CLOSE).value for part in y.split(32)])
        return functional.max_pool2d(torch.cat([z.clamp_min(0), (-z).clamp_min(0)], dim=1), POOL)


def projected(coding: ConvolutionalSparseCoding, filters: Tensor) -> Tensor:
    """Filters of the second layer (K₂, 2K, h, h) in pixels: each code stands in the middle of what was pooled."""
    count, _, size, _ = filters.shape
    positive, negative = filters.chunk(2, dim=1)
    z = filters.new_zeros(count, *coding.domain("z").shape)
    reach = POOL * size
    z[..., :reach:POOL, :reach:POOL] = positive - negative
    with torch.no_grad():
        seen = reach + coding.filters.shape[-1] - 1
        return coding.reconstruct(None, None, z)[..., :seen, :seen]
