"""Small changes of lines of text, anew in each step, so that a reader does not learn its lines by heart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.views.options import check_strengths
from lowland.tensors import PerSampleRNG

_STRIDE, _FAR = 4, 32


@dataclass(frozen=True)
class LineChanges:
    """Lines {"image": (B, 1, H, W), "cells": (B,)}, each stretched, slanted, moved up or down and with noise.

    Each number is the largest change, drawn uniformly in both directions. A stretch keeps the left end. A line that
    grows gets more frames of the image, if there are any; one that shrinks keeps its own, and so room for its text.

    Args:
        stretch: share of the width.
        slant: columns of shift for each row.
        shift: rows.
        noise: standard deviation of what is added to the ink, which stays in [0, 1].

    Raises:
        OptionError: for a negative number.

    >>> x = {"image": torch.rand(2, 1, 32, 40), "cells": torch.tensor([7.0, 10.0])}
    >>> still = LineChanges(0, 0, 0, 0)(x, PerSampleRNG(0, torch.arange(2)))
    >>> bool((still["image"] - x["image"]).abs().max() < 1e-5)
    True
    """

    stretch: float = 0.08
    slant: float = 0.15
    shift: float = 1.5
    noise: float = 0.04

    def __post_init__(self) -> None:
        check_strengths(stretch=self.stretch, slant=self.slant, shift=self.shift, noise=self.noise)

    @torch.no_grad()
    def __call__(self, samples: dict[str, Tensor], noise: PerSampleRNG) -> dict[str, Tensor]:
        cells, whole = samples["cells"], samples["image"].shape[3]
        # Far behind the longest line there is only paper.
        image = samples["image"][..., : _FAR + math.ceil(_STRIDE * int(cells.max()) * (1 + 2 * self.stretch))]
        height, width = image.shape[2:]
        drawn = 2 * noise.uniform(3) - 1
        factor = 1 + self.stretch * drawn[:, 0]
        grown = torch.maximum(cells, (cells / factor).ceil()).clamp_max(max(whole // _STRIDE, int(cells.max())))
        like = {"dtype": drawn.dtype, "device": drawn.device}
        down = torch.arange(height, **like) - (height - 1) / 2
        across = torch.arange(width, **like)
        column = across[None, None] * factor[:, None, None] + self.slant * drawn[:, 1, None, None] * down[:, None]
        row = (down + self.shift * drawn[:, 2, None])[..., None].expand_as(column)
        place = torch.stack([(2 * column + 1) / width - 1, 2 * row / height], dim=-1)
        seen = functional.grid_sample(image, place.to(image.dtype), align_corners=False)
        if self.noise:
            seen = (seen + self.noise * noise.normal(1, height, width)).clamp(0, 1)
        seen = functional.pad(seen, (0, whole - width))
        return samples | {"image": seen, "cells": grown}
