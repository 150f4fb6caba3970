"""Layers of convolutional sparse coding on each other: what the next layer sees, and how its features look in pixels.

Legend: N images, C channels, K filters of a layer, K₂ of the next, h side of a filter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.energies.convolutional_sparse_coding import ConvolutionalSparseCoding
from lowland.inference import infer
from lowland.solvers.base import Solver


@torch.no_grad()
def pooled_codes(
    energy: ConvolutionalSparseCoding, y: Tensor, solver: Solver | None = None, pool: int = 2, batch_size: int = 32
) -> Tensor:
    """(N, 2K, H / pool, W / pool): the largest positive and the largest negative code of each neighbourhood, as sizes.

    Codes have signs, which a largest value would lose: each filter has one map for each sign. They are what a second
    layer codes (Zeiler, Krishnan, Taylor & Fergus 2010, with signs kept apart).

    Args:
        energy: the layer.
        y: (N, C, H, W).
        solver: of the codes; None for the most exact that the energy offers.
        pool: side of the neighbourhoods.
        batch_size: images that are coded at a time.

    >>> pooled_codes(ConvolutionalSparseCoding((1, 8, 8), n_filters=3, size=3), torch.rand(2, 1, 8, 8)).shape
    torch.Size([2, 6, 4, 4])
    """
    z = torch.cat([infer(energy, y=part, over="z", solver=solver).value for part in y.split(batch_size)])
    return functional.max_pool2d(torch.cat([z.clamp_min(0), (-z).clamp_min(0)], dim=1), pool)


@torch.no_grad()
def pooled_features(energy: ConvolutionalSparseCoding, filters: Tensor, pool: int = 2) -> Tensor:
    """Filters of the next layer, which sees `pooled_codes`, in pixels: (K₂, C, side, side).

    Each code stands at the first place of the neighbourhood that it was pooled from.

    Args:
        energy: the layer below.
        filters: (K₂, 2K, h, h).
        pool: as in `pooled_codes`.

    >>> energy = ConvolutionalSparseCoding((1, 16, 16), n_filters=3, size=3)
    >>> pooled_features(energy, torch.rand(5, 6, 2, 2)).shape
    torch.Size([5, 1, 6, 6])
    """
    count, _, size, _ = filters.shape
    positive, negative = filters.chunk(2, dim=1)
    z, reach = filters.new_zeros(count, *energy.domain("z").shape), pool * size
    z[..., :reach:pool, :reach:pool] = positive - negative
    seen = reach + energy.filters.shape[-1] - 1
    return energy.reconstruct(None, None, z)[..., :seen, :seen]
