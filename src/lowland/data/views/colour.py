"""Colour: what is linear in the pixels of an image is one map for each sample; only the turn of the hue is not.

Images are (C, B, H, W), of one channel, which is grey, or of red, green and blue: channels come before samples, so that
a channel of all samples lies together. What is drawn for a sample has shape (B, 1, 1). All but `grey` change the images
in place.
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
    return (images.new_tensor(LUMA) @ images.flatten(1)).view(images.shape[1:])


def adjust(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Brightness, contrast and saturation by factors b, c, s, without a clip between them.

        x ← b x,   x ← c x + (1 − c) m,   x ← s x + (1 − s) g,

    g being the grey of a pixel and m the mean of g over the image, at the time of each step. The three commute, and
    together are x ← b c s x + b c (1 − s) g + b (1 − c) m. With one channel g = x.
    """
    shade = grey(images)
    level = brightness * (1 - contrast) * shade.mean(dim=(1, 2), keepdim=True)
    gain = brightness * contrast
    return images.mul_(gain * saturation).add_(shade.mul_(gain * (1 - saturation)).add_(level))


def turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """The hue of HSV moved by a share of the full circle, in [−½, ½], at the same largest and smallest channel.

    Smith 1978 (Color gamut transform pairs), without its branches. With M and m the largest and the smallest channel,
    q = (G − B) / (M − m) and e = (M − R) / (M − m), the angle from red in sixths of the circle is

        a = q + e (3 sign(q) − 2 q)   in [−3, 3],

    because |q| = 1 where 0 < e < 1. A channel at distance d from the angle is m + (M − m) clip(2 − d, 0, 1). The
    values need not lie in [0, 1].
    """
    red, green, blue = images
    top, low = images.amax(dim=0), images.amin(dim=0)
    e, q = top - red, green - blue
    chroma = top.sub_(low)
    share = chroma.clamp_min(torch.finfo(low.dtype).tiny ** 0.5).reciprocal_()
    e.mul_(share)
    q.mul_(share)
    angle = torch.copysign(q.new_tensor(3.0), q).sub_(q, alpha=2).mul_(e).add_(q).add_(6 * turn)
    angle.sub_(torch.div(angle, 6, out=q).round_(), alpha=6)
    # With the angle in [−3, 3], 3 − d is | |angle − centre| − 3 | for each of the three channels.
    centres = angle.new_tensor([0.0, 2.0, -2.0])[:, None, None, None]
    near = torch.sub(angle, centres, out=images).abs_().sub_(3).abs_().clamp_(1, 2)
    return near.mul_(chroma).add_(low.sub_(chroma))
