"""Colour: what is linear in the pixels of an image is one matrix for each sample; only the turn of the hue is not.

Shape letters: B samples, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue, by ITU-R BT.601, as in Pillow."""


def adjust(image: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Brightness, contrast and saturation by factors b, c, s of each sample (B,), without a clip between them.

        x ← b x,   x ← c x + (1 − c) m,   x ← s x + (1 − s) g,

    g being the grey of a pixel and m the mean of g over the image, at the time of each step. The three commute, and
    together are x ← b c s x + b c (1 − s) g + b (1 − c) m, a 3 × 3 matrix and an offset. With one channel g = x.
    """
    gain, offset = brightness * contrast, brightness * (1 - contrast)
    mean = image.mean(dim=(2, 3))
    if image.shape[1] == 1:
        return torch.addcmul((offset[:, None] * mean)[:, :, None, None], image, gain[:, None, None, None])
    mixed = mix(saturation, image) * gain[:, None, None]
    shift = offset * (mean @ image.new_tensor(LUMA))
    return torch.baddbmm(shift[:, None, None], mixed, image.flatten(2)).view_as(image)


def mix(saturation: Tensor, like: Tensor) -> Tensor:
    """The matrix (B, 3, 3) of x → s x + (1 − s) g."""
    eye, grey = torch.eye(3).to(like), like.new_tensor(LUMA).expand(3, 3)
    return torch.lerp(grey, eye, saturation[:, None, None])


def turn_hue(image: Tensor, turn: Tensor) -> Tensor:
    """The hue of HSV moved by a share of the full circle, (B,) in [−1, 1], at the same largest and smallest channel.

    Smith 1978. With M and m these two and h in [0, 6) the hue in sixths, channel n ∈ {5, 3, 1} is
    M − (M − m) clip(min(k, 4 − k), 0, 1), k = (n + h) mod 6. No value needs to lie in [0, 1].
    """
    red, green, blue = image.unbind(dim=1)
    top, low = torch.maximum(torch.maximum(red, green), blue), torch.minimum(torch.minimum(red, green), blue)
    chroma = top - low
    safe = torch.where(chroma > 0, chroma, 1)
    rest = torch.where(top == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    hue = torch.where(top == red, (green - blue) / safe, rest) + 6 * turn[:, None, None]
    channels = []
    for number in (5, 3, 1):
        k = (hue + number).remainder_(6)
        channels.append(top - chroma * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(channels, dim=1)
