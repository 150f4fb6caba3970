"""Distorted handwriting: affine and elastic changes of where the ink is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.views.options import check_samples, check_strengths
from lowland.data.views.resample import gaussian, resample
from lowland.tensors import PerSampleRNG

_USUAL = 28


@dataclass(frozen=True)
class Distortions:
    """Images (B, C, H, W), each seen through a random affine map and a smooth random displacement; 0 outside.

    The affine part is that of LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
    recognition" (1998), section III A (shifts, scaling, squeezing, horizontal shear), and a turn. The elastic part is
    that of Simard, Steinkraus & Platt, "Best practices for convolutional neural networks" (2003): noise from −1 to 1
    at each pixel, blurred by a Gaussian of `smooth` pixels, times `elastic`. Pixels between others are interpolated
    bilinearly. Each number below is the largest change; it is drawn uniformly in both directions. Pixels are those of
    digits of 28 × 28; in images of another size the changes are in proportion.

    Args:
        turn: in degrees.
        shear: columns of shift for each row.
        scale: logarithm of the factor of both sides.
        squeeze: logarithm of the factor by which width grows and height shrinks.
        shift: in pixels, across and down.
        elastic: α in pixels, 34 in the paper for digits of 28 × 28; 0 for none.
        smooth: σ > 0 in pixels, 4 in the paper.

    Raises:
        OptionError: for a negative number, or a σ that is not positive.
        ShapeError: when called with anything but images with one stream each.

    >>> still = Distortions(turn=0, shear=0, scale=0, squeeze=0, shift=0, elastic=0)
    >>> digit = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    >>> bool((still(digit, PerSampleRNG(0, torch.arange(1))) - digit).abs().max() < 1e-5)
    True
    """

    turn: float = 10.0
    shear: float = 0.2
    scale: float = 0.1
    squeeze: float = 0.1
    shift: float = 1.5
    elastic: float = 34.0
    smooth: float = 4.0

    def __post_init__(self) -> None:
        check_strengths(
            turn=self.turn, shear=self.shear, scale=self.scale, squeeze=self.squeeze, shift=self.shift,
            elastic=self.elastic,
        )  # fmt: skip
        check_strengths(least=1e-3, smooth=self.smooth)

    @torch.no_grad()
    def __call__(self, samples: Tensor, noise: PerSampleRNG) -> Tensor:
        check_samples(samples, noise, "(B, C, H, W)")
        # Mixed precision is for networks: three digits are too few for positions.
        with torch.autocast(samples.device.type, enabled=False):
            return self._seen(samples, noise)

    def _seen(self, samples: Tensor, noise: PerSampleRNG) -> Tensor:
        height, width = samples.shape[2:]
        pixel = max(height, width) / _USUAL
        place = self._affine(noise, height, width, pixel)
        if self.elastic:
            place = place + self._elastic(noise, height, width, pixel)
        # From pixels around the middle to the −1 … 1 that `grid_sample` measures in.
        grid = place * (2 / torch.tensor([width, height], dtype=place.dtype, device=place.device))
        return functional.grid_sample(samples, grid.to(samples.dtype), align_corners=False)

    def _affine(self, noise: PerSampleRNG, height: int, width: int, pixel: float) -> Tensor:
        """Where each pixel of the result is taken from, (B, H, W, 2): across and down from the middle, in pixels."""
        drawn = 2 * noise.uniform(6) - 1
        turn, shear, scale, squeeze = (
            strength * one
            for strength, one in zip(
                (math.radians(self.turn), self.shear, self.scale, self.squeeze), drawn.unbind(dim=1), strict=False
            )
        )
        wide, tall = torch.exp(scale + squeeze), torch.exp(scale - squeeze)
        cosine, sine = torch.cos(turn), torch.sin(turn)
        # A turn times a shear times a change of both sides.
        right, left = shear * wide * cosine - tall * sine, shear * wide * sine + tall * cosine
        matrix = torch.stack([wide * cosine, right, wide * sine, left], dim=1).reshape(-1, 2, 2)
        like = {"dtype": drawn.dtype, "device": drawn.device}
        down, across = torch.arange(height, **like) - (height - 1) / 2, torch.arange(width, **like) - (width - 1) / 2
        place = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
        return (place.flatten(0, 1) @ matrix.mT + self.shift * pixel * drawn[:, None, 4:]).unflatten(1, (height, width))

    def _elastic(self, noise: PerSampleRNG, height: int, width: int, pixel: float) -> Tensor:
        rough = (2 * noise.uniform(2, height, width) - 1).transpose(0, 1).contiguous()
        sigma = torch.full_like(rough[0, :, 0, 0], self.smooth * pixel)
        blurred = resample(rough, gaussian(sigma, height), gaussian(sigma, width))
        # A blur of σ pixels leaves noise of a size in proportion to 1 / σ.
        return self.elastic * pixel**2 * blurred.permute(1, 2, 3, 0)
