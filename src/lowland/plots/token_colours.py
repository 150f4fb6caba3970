"""Feature maps as colours: positions of similar colour have similar features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.plots.mosaic import mosaic


@torch.no_grad()
def principal_colours(maps: Tensor, scale: int = 1) -> Tensor:
    """The first three principal components of the features as red, green and blue, (N, 3, H, W) in [0, 1].

    Each component is scaled from its 2nd to its 98th percentile over these images.

    Args:
        maps: (N, D, h, w) features.
        scale: side of the square of pixels per position: H = scale · h.

    >>> principal_colours(torch.rand(2, 8, 4, 4), scale=2).shape
    torch.Size([2, 3, 8, 8])
    """
    if maps.ndim != 4 or maps.shape[1] < 3:
        raise ShapeError(f"Colours need feature maps (N, D, h, w) of at least three features, not {tuple(maps.shape)}.")
    token = maps.flatten(2).transpose(1, 2).flatten(0, 1).double()
    centred = token - token.mean(dim=0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:3]
    colour = centred @ axes.T
    low, high = colour.quantile(0.02, dim=0), colour.quantile(0.98, dim=0)
    colour = ((colour - low) / (high - low).clamp_min(1e-9)).clamp(0, 1).float()
    planes = colour.unflatten(0, (len(maps), -1)).transpose(1, 2).unflatten(2, maps.shape[2:])
    return planes.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)


@torch.no_grad()
def token_sheet(encoders: Mapping[str, VisionTransformer], images: Tensor) -> Figure:
    """Images, and below them the tokens of each transformer in `principal_colours`.

    Args:
        encoders: by name.
        images: (N, C, H, W), with one or three channels.

    >>> encoder = VisionTransformer((1, 8, 8), patch=2, width=12, depth=1)
    >>> [text.get_text() for text in token_sheet({"untrained": encoder}, torch.rand(3, 1, 8, 8)).axes[0].texts]
    ['image', 'untrained']
    """
    maps = {name: principal_colours(encoder.maps(images), encoder.patch) for name, encoder in encoders.items()}
    return mosaic({"image": images.expand(-1, 3, -1, -1), **maps})
