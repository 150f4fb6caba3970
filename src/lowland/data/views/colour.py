"""Colour: all operations linear in the pixels are combined into one map per sample; only the hue rotation is not.

Images are (C, B, H, W), with one grey channel or red, green and blue: channels come before samples, so that a channel
is contiguous over all samples. Random parameters have shape (B, 1, 1). All functions but `grey` work in place.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue, by ITU-R BT.601, as in Pillow."""


def grey(images: Tensor) -> Tensor:
    """The grey of each pixel, (B, H, W)."""
    if len(images) == 1:
        return images[0].clone()
    mixed = images[0] * LUMA[0]
    return mixed.add_(images[1], alpha=LUMA[1]).add_(images[2], alpha=LUMA[2])


def linear(brightness: Tensor, contrast: Tensor, saturation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness, contrast and saturation by factors b, c, s, without clipping in between, as one map.

        x ← b x,   x ← c x + (1 − c) m,   x ← s x + (1 − s) g,

    with g the grey of a pixel and m the mean of g over the image, at each step. The three commute, and together are
    x ← b c s x + b c (1 − s) g + b (1 − c) m. Returned are the three factors.
    """
    gain = brightness * contrast
    return gain * saturation, gain * (1 - saturation), brightness * (1 - contrast)


def adjust(images: Tensor, own: Tensor, shade: Tensor, level: Tensor) -> Tensor:
    """Map x to own x + shade g + level m, with the factors of `linear`. With one channel g = x."""
    mixed = grey(images)
    level = level * mixed.mean(dim=(1, 2), keepdim=True)
    return images.mul_(own).add_(mixed.mul_(shade).add_(level))


def turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Rotate the HSV hue by a fraction of the full circle, in [−⅓, ⅓], keeping the largest and smallest channel.

    Smith 1978 (Color gamut transform pairs), without its branches. With M and m the largest and the smallest channel,
    C = M − m, q = (G − B) / C and e = (M − R) / C, the angle from red in sixths of the circle is

        a = q + e (3 sign(q) − 2 q)   in [−3, 3],

    because |q| = 1 where 0 < e < 1. A channel at distance d from the angle is m + C clip(2 − d, 0, 1). Everything is
    multiplied by C, which saves divisions. The values need not lie in [0, 1].
    """
    top, low = images.amax(dim=0), images.amin(dim=0)
    e, q = top - images[0], images[1] - images[2]
    chroma = top.sub_(low)
    twice = (e * q).div_(chroma.clamp_min(torch.finfo(low.dtype).tiny ** 0.5))
    angle = torch.copysign(e.mul_(3), q).add_(q).sub_(twice, alpha=2).addcmul_(chroma, 6 * turn)
    # 3 − d is | |a − centre| − 3 | for each of the three channels as long as |a − centre| ≤ 7.
    for image, centre in zip(images, (0, 2, -2), strict=True):
        torch.sub(angle, chroma, alpha=centre, out=image)
    images.abs_().sub_(chroma, alpha=3).abs_().clamp_(chroma, torch.mul(chroma, 2, out=twice))
    return images.add_(low.sub_(chroma))
